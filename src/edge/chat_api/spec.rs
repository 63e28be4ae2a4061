//! The interface of the earlier chat service with everything filled in: what `config` hands to `edge`.

use std::collections::BTreeMap;

use crate::edge::chat_api::options::ChatImageModels;
use crate::edge::chat_api::roles::Role;

/// The interface, switched on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatSpec {
    pub roles: Vec<Role>,
    /// What calls ask for beside their message.
    pub sampling: Sampling,
    /// The same at upstreams of a vendor, by catalogue id; what is None there is as above.
    pub by_vendor: BTreeMap<String, Sampling>,
    pub image_models: ChatImageModels,
}

/// Fields of a chat completion that the earlier service took from its environment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    pub max_tokens: Option<u64>,
    pub temperature: Option<f64>,
}

impl Sampling {
    /// Leaves out what fields of these `names` say: the environment counts only where the file is silent.
    pub fn without<'a>(mut self, names: impl Iterator<Item = &'a str>) -> Self {
        for name in names {
            match name {
                "max_tokens" | "max_completion_tokens" => self.max_tokens = None,
                "temperature" => self.temperature = None,
                _ => {}
            }
        }
        self
    }
}

impl ChatSpec {
    pub fn role(&self, key: &str) -> Option<&Role> {
        self.roles.iter().find(|it| it.key == key)
    }

    /// For a call that goes to an upstream of `vendor` first.
    pub fn sampling(&self, vendor: Option<&str>) -> Sampling {
        let own = vendor.and_then(|it| self.by_vendor.get(it)).copied().unwrap_or_default();
        Sampling {
            max_tokens: own.max_tokens.or(self.sampling.max_tokens),
            temperature: own.temperature.or(self.sampling.temperature),
        }
    }
}
