//! Time that passes at the gateway, told by the gateway's own timer: a test that must wait one out need not sleep.

use super::gateway::Gateway;
use super::script::Reply;
use super::vendor::Vendor;

/// An upstream `clock` that never answers, so that a call to it takes as long as its `first_byte_ms`.
pub struct Clock(Vendor);

impl Clock {
    pub async fn start() -> Self {
        let vendor = Vendor::start().await;
        vendor.otherwise(Reply::hang());
        Self(vendor)
    }

    /// The configuration with this clock in it, one tick of which takes `ms`.
    pub fn beside(&self, yaml: &str, ms: u64) -> String {
        let url = self.0.url();
        let own = format!(
            "upstreams:\n  clock: {{ vendor: openai-compatible, base_url: \"{url}\", timeouts: {{ first_byte_ms: {ms} }} }}\n"
        );
        yaml.replacen("upstreams:\n", &own, 1)
    }

    /// Comes back when one tick has passed.
    pub async fn tick(&self, gateway: &Gateway) {
        assert_eq!(gateway.chat("clock/tick").await.status, 504);
    }
}
