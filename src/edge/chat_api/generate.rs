//! Pictures made to order: the request for the provider's images endpoint, and its answer in the earlier service's words.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::edge::body::{Body, json};
use crate::edge::chat_api::fields::Fields;
use crate::edge::chat_api::picture::Picture;
use crate::edge::chat_api::refusal::Manner;
use crate::edge::rescue;
use crate::error::{Error, Kind, Origin};
use crate::names::UpstreamId;
use crate::session::key::random_text;

/// Bytes of a vendor's answer: a few pictures in base64.
const ANSWER_BYTES_MAX: usize = 64 << 20;

const SIZE: &str = "1024x1024";

/// The quality of those who name none. It is not passed on: not every model knows the word, and those that do mean it
/// where none is said.
const QUALITY: &str = "standard";

/// Vendors that take the picture to start from as a field of the same request.
const IN_ONE_REQUEST: [&str; 2] = ["ark", "ark-intl"];

/// A picture to be made.
#[derive(Debug)]
pub struct Order {
    prompt: String,
    size: String,
    quality: String,
    picture: Option<Picture>,
}

/// What a vendor is asked.
pub struct Request {
    /// Below `/v1`.
    pub path: &'static str,
    pub body: Bytes,
    pub content_type: HeaderValue,
}

impl Order {
    pub fn new(fields: &Fields) -> Result<Self, Error> {
        Ok(Self {
            prompt: fields.required("prompt")?.to_owned(),
            size: fields.optional("size").unwrap_or(SIZE).to_owned(),
            quality: fields.optional("quality").unwrap_or(QUALITY).to_owned(),
            picture: fields.optional("image_data").map(Picture::from_base64).transpose()?,
        })
    }

    /// The request for a `vendor`'s `model`; without one the vendor takes its own.
    pub fn request(&self, vendor: &str, model: Option<&str>) -> Request {
        let one_request = IN_ONE_REQUEST.contains(&vendor);
        match &self.picture {
            Some(picture) if !one_request => self.edit(picture, model),
            picture => self.generation(picture.as_ref(), one_request, model),
        }
    }

    /// Once `provider` is asked for it.
    pub fn making(self, provider: UpstreamId) -> Making {
        Making { size: self.size, quality: self.quality, provider }
    }

    fn fields(&self, model: Option<&str>) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        fields.extend(model.map(|it| ("model", it.to_owned())));
        fields.push(("prompt", self.prompt.clone()));
        fields.push(("size", self.size.clone()));
        if self.quality != QUALITY {
            fields.push(("quality", self.quality.clone()));
        }
        // OpenAI's newer models answer so anyway, and refuse to be asked for it.
        if !model.is_some_and(|it| it.rsplit('/').next().unwrap_or(it).starts_with("gpt-image")) {
            fields.push(("response_format", "b64_json".to_owned()));
        }
        fields
    }

    fn generation(&self, picture: Option<&Picture>, one_request: bool, model: Option<&str>) -> Request {
        let fields = self.fields(model).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let mut object: Map<String, Value> = fields.collect();
        if one_request {
            object.insert("watermark".into(), false.into());
            object.extend(picture.map(|it| ("image".to_owned(), it.to_data_uri().into())));
        }
        Request {
            path: "/images/generations",
            body: Value::Object(object).to_string().into(),
            content_type: HeaderValue::from_static("application/json"),
        }
    }

    fn edit(&self, picture: &Picture, model: Option<&str>) -> Request {
        // Nobody can put a delimiter into a prompt that nobody can guess.
        let boundary = format!("tollgate-{}", random_text());
        let mut form = Vec::with_capacity(picture.bytes.len() + 4_096);
        for (name, value) in self.fields(model) {
            let head = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
            form.extend_from_slice(head.as_bytes());
            form.extend_from_slice(value.as_bytes());
            form.extend_from_slice(b"\r\n");
        }
        let kind = picture.kind;
        let ending = kind.trim_start_matches("image/");
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"image\"; filename=\"image.{ending}\"\r\n\
             content-type: {kind}\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(&picture.bytes);
        form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
        Request {
            path: "/images/edits",
            body: form.into(),
            content_type: content_type.expect("a boundary of ours is plain ASCII"),
        }
    }
}

/// What is told of a picture that is made.
pub struct Making {
    size: String,
    quality: String,
    provider: UpstreamId,
}

#[derive(Deserialize)]
struct Images {
    data: Vec<Image>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    b64_json: Option<String>,
    #[serde(default)]
    revised_prompt: Option<String>,
}

impl Making {
    /// The vendor's `response` in the earlier service's words. One that failed keeps its status and its error.
    pub async fn answer(self, response: Response<Body>) -> Response<Body> {
        let (head, body) = response.into_parts();
        let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        if !head.status.is_success() {
            let body = read.map(|it| it.to_bytes()).unwrap_or_default();
            return refused(head, body);
        }
        let told = read.ok().and_then(|it| self.told(&it.to_bytes()));
        let mut answer = match told {
            Some(told) => json(&told),
            None => {
                let mut error = no_picture(self.provider);
                error.body = Some(Manner::Success.told(rescue::body(&error)));
                rescue::bare(&error)
            }
        };
        add(answer.headers_mut(), head.headers);
        answer
    }

    fn told(&self, answer: &[u8]) -> Option<Value> {
        let images: Images = serde_json::from_slice(answer).ok()?;
        let image = images.data.into_iter().find(|it| it.url.is_some() || it.b64_json.is_some())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |it| it.as_secs_f64());
        Some(json!({
            "success": true,
            "message": "The picture was made.",
            "data": {
                "image_url": image.url,
                "image_b64": image.b64_json,
                "revised_prompt": image.revised_prompt,
                "size": self.size,
                "quality": self.quality,
            },
            "provider": self.provider.as_str(),
            "timestamp": now,
        }))
    }
}

fn refused(mut head: Parts, body: Bytes) -> Response<Body> {
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::plain(Manner::Success.told(body)))
}

fn no_picture(provider: UpstreamId) -> Error {
    let message = format!("The provider `{provider}` answered without a picture.");
    Error::new(Kind::VendorFailed, Origin::Upstream(provider), message)
}

/// What the vendor's answer said of itself besides its content.
fn add(answer: &mut HeaderMap, vendor: HeaderMap) {
    let about_content =
        [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::ETAG];
    for (name, value) in vendor.iter().filter(|(name, _)| !about_content.contains(name)) {
        answer.append(name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(more: &str) -> Order {
        let body = format!(r#"{{"prompt":"a \"cat\""{more}}}"#);
        Order::new(&Fields::of_json(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn an_order_becomes_what_the_vendor_understands() {
        let check = |order: Order, vendor: &str, model: Option<&str>, expected: Value| {
            let request = order.request(vendor, model);
            assert_eq!(request.path, "/images/generations");
            assert_eq!(serde_json::from_slice::<Value>(&request.body).unwrap(), expected);
        };
        check(
            order(""),
            "openai",
            None,
            json!({"prompt": "a \"cat\"", "size": "1024x1024", "response_format": "b64_json"}),
        );
        check(
            order(r#","size":"512x512","quality":"high""#),
            "openai",
            Some("openai/gpt-image-1"),
            json!({"model": "openai/gpt-image-1", "prompt": "a \"cat\"", "size": "512x512", "quality": "high"}),
        );
        check(
            order(r#","image_data":"R0lGODlh""#),
            "ark",
            Some("ark/seedream"),
            json!({"model": "ark/seedream", "prompt": "a \"cat\"", "size": "1024x1024", "response_format": "b64_json",
                "watermark": false, "image": "data:image/gif;base64,R0lGODlh"}),
        );
    }

    #[test]
    fn a_picture_to_start_from_goes_as_a_file() {
        let request = order(r#","image_data":"R0lGODlh","image_type":"gif""#).request("openai", Some("m"));
        let kind = request.content_type.to_str().unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let form = String::from_utf8(request.body.to_vec()).unwrap();
        assert_eq!(request.path, "/images/edits");
        assert_eq!(form.matches(&format!("--{boundary}\r\n")).count(), 5);
        assert!(form.contains("name=\"model\"\r\n\r\nm\r\n"), "{form}");
        assert!(
            form.contains("filename=\"image.gif\"\r\ncontent-type: image/gif\r\n\r\nGIF89a\r\n--"),
            "{form}"
        );
        assert!(form.ends_with(&format!("--{boundary}--\r\n")), "{form}");
    }

    #[test]
    fn only_a_picture_is_a_success() {
        let making = || order("").making("a".into());
        let told =
            making().told(br#"{"created":1,"data":[{"b64_json":"AA==","revised_prompt":"r"}]}"#).unwrap();
        assert_eq!((&told["success"], &told["provider"]), (&json!(true), &json!("a")));
        assert_eq!((&told["data"]["image_b64"], &told["data"]["image_url"]), (&json!("AA=="), &Value::Null));
        for answer in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{}]}"#] {
            assert_eq!(making().told(answer.as_bytes()), None, "{answer}");
        }
    }
}
