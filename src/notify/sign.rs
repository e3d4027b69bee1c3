//! The signature of a webhook, as Standard Webhooks says.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// What a secret may begin with.
const PREFIX: &str = "whsec_";

/// The key that signs, read from its secret.
pub(crate) struct Key(hmac::Key);

impl Key {
    /// Reads a secret: base64, with `whsec_` before it or not.
    pub(crate) fn read(secret: &SecretString) -> Result<Key, String> {
        let text = secret.expose_secret().trim();
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| {
            "`notify.webhook.secret` is not base64, which Standard Webhooks asks for; `openssl rand -base64 32` makes one".to_owned()
        })?;
        Ok(Key(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Signs a message: what goes into `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        // The example of the standard's own libraries.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed =
            Key::read(&secret)
                .unwrap()
                .sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_none_is_not_shown() {
        for text in ["hunter2!", "whsec_", "whsec_???"] {
            let error = Key::read(&SecretString::from(text)).err().unwrap();
            assert!(!error.contains(text), "{error}");
        }
        assert!(Key::read(&SecretString::from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")).is_ok());
    }
}
