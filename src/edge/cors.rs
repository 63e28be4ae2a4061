//! Answers browsers (CORS, WHATWG Fetch section 3.2): preflights, and the headers that let a page read an answer.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::edge::body::Body;
use crate::edge::options::CorsOptions;

/// Time a browser may remember a preflight, in seconds; browsers cap it at two hours.
const MAX_AGE_S: u64 = 7_200;

/// The answer to an `OPTIONS` request: a preflight's permission, or the methods there are.
pub fn options_answer<B>(request: &Request<B>, cors: Option<&CorsOptions>) -> Option<Response<Body>> {
    if *request.method() != Method::OPTIONS {
        return None;
    }
    let mut response = Response::new(Body::plain(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    let asked = request.headers();
    if asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) && permit(headers, asked, cors) {
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_S));
        if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
    }
    Some(response)
}

/// Lets the page of a permitted origin read the answer. Returns whether it may.
pub fn permit(answer: &mut HeaderMap, asked: &HeaderMap, cors: Option<&CorsOptions>) -> bool {
    let Some(cors) = cors else { return false };
    answer.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = asked.get(header::ORIGIN) else { return false };
    let permitted = permits(Some(cors), origin);
    if permitted {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    }
    permitted
}

/// Whether pages of `origin` may call.
pub fn permits(cors: Option<&CorsOptions>, origin: &HeaderValue) -> bool {
    cors.is_some_and(|it| it.origins.iter().any(|it| it == "*" || it.as_bytes() == origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preflight(origin: &'static str, cors: Option<&CorsOptions>) -> HeaderMap {
        let request = Request::builder()
            .method("OPTIONS")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .body(())
            .unwrap();
        options_answer(&request, cors).unwrap().headers().clone()
    }

    #[test]
    fn only_permitted_origins_may_read() {
        let cors = CorsOptions { origins: vec!["https://app.example".into()] };
        let allowed = preflight("https://app.example", Some(&cors));
        assert_eq!(allowed["access-control-allow-origin"], "https://app.example");
        assert_eq!(allowed["access-control-allow-headers"], "authorization");
        assert!(!preflight("https://evil.example", Some(&cors)).contains_key("access-control-allow-origin"));
        assert!(!preflight("https://app.example", None).contains_key("access-control-allow-origin"));
        let any = CorsOptions { origins: vec!["*".into()] };
        assert_eq!(
            preflight("https://x.example", Some(&any))["access-control-allow-origin"],
            "https://x.example"
        );
    }
}
