//! Who made a model, as its Bedrock id says (`us.anthropic.claude-…`). What Converse has no field for goes to the model
//! in its maker's own words (`additionalModelRequestFields`), so these are told apart here and nowhere else.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Anthropic,
    /// Amazon's Nova.
    Nova,
    OpenAi,
    /// One whose own words are not known here.
    Other,
    /// The id does not say: that of a deployment or an application's profile.
    Unknown,
}

impl Maker {
    pub fn of(model: &str) -> Self {
        // Of an ARN the last part is the model's id, unless it is one of the operator's own things.
        let id = model.rsplit('/').next().unwrap_or(model);
        let has = |maker: &str| id.split('.').any(|it| it == maker);
        match () {
            () if has("anthropic") => Self::Anthropic,
            () if has("amazon") => Self::Nova,
            () if has("openai") => Self::OpenAi,
            () if id.contains('.') => Self::Other,
            () => Self::Unknown,
        }
    }

    /// Whether it may understand Anthropic's words.
    pub fn is_perhaps_anthropic(self) -> bool {
        matches!(self, Self::Anthropic | Self::Unknown)
    }

    /// Whether its prompts may hold cache points; others refuse them (Bedrock user guide, "Prompt caching").
    pub fn caches(self) -> bool {
        matches!(self, Self::Anthropic | Self::Nova | Self::Unknown)
    }

    /// Whether a cache point may stand behind a tool or what one gave, and hold for an hour: Nova knows those in the
    /// system's and in messages' own words alone, for five minutes.
    pub fn caches_tools(self) -> bool {
        self.caches() && self.is_perhaps_anthropic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_names_the_maker() {
        let check = |model: &str, maker| assert_eq!(Maker::of(model), maker, "{model}");
        check("anthropic.claude-3-haiku-20240307-v1:0", Maker::Anthropic);
        check("eu.anthropic.claude-sonnet-4-6", Maker::Anthropic);
        check("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-x-v1:0", Maker::Anthropic);
        check("us.amazon.nova-2-lite-v1:0", Maker::Nova);
        check("openai.gpt-oss-120b-1:0", Maker::OpenAi);
        check("meta.llama3-1-8b-instruct-v1:0", Maker::Other);
        check("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", Maker::Unknown);
    }
}
