//! Clouds that sell other vendors' models: which vendor's prices theirs are, and what a model is called there. Pure.
//!
//! Their list prices are the makers' own. What a cloud adds for some of its regions no row says, nor what was negotiated:
//! an operator's rows and `price` go before these.

/// A vendor of the catalogue, and the maker whose built-in prices hold for its models.
pub const PRICED_AS: [(&str, &str); 5] = [
    ("azure", "openai"),
    ("azure-classic", "openai"),
    ("bedrock", "anthropic"),
    ("vertex", "gemini"),
    ("vertex-anthropic", "anthropic"),
];

/// The maker's name of a model: without what a cloud puts around it, where that vendor is a cloud and does so.
pub fn makers_name<'a>(vendor: &str, model: &'a str) -> Option<&'a str> {
    let is_cloud = PRICED_AS.iter().any(|(cloud, _)| *cloud == vendor);
    is_cloud.then(|| crate::names::without_cloud(model)).filter(|it| *it != model)
}
