//! Services by name, and their methods: what answers a call, whatever brought it.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a caller sends along with a call, by name.
pub type Metadata = BTreeMap<String, String>;

/// Arguments and results in JSON, errors as text for the caller.
type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;
type Method = Box<dyn Fn(&[u8], Metadata) -> Answer + Send + Sync>;

/// Services by name, and their methods.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use examples::registry::{Metadata, Registry};
///
/// let registry = Registry::new().method("Text", "length", async |text: String, _| Ok(text.len()));
/// let answer = registry.call("Text", "length", Metadata::new(), br#""four""#).await;
/// assert_eq!(answer.unwrap(), b"4");
/// # }
/// ```
#[derive(Default)]
pub struct Registry {
    services: HashMap<String, HashMap<String, Method>>,
}

impl Registry {
    /// No services.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method, or replaces it. It gets the arguments and the metadata of a call; the error that it gives is told
    /// to the caller.
    pub fn method<A, R, F, Fut>(mut self, service: &str, method: &str, function: F) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A, Metadata) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, String>> + Send + 'static,
    {
        let answer = move |arguments: &[u8], metadata: Metadata| -> Answer {
            let called =
                serde_json::from_slice(arguments).map(|arguments| function(arguments, metadata));
            Box::pin(async move {
                let called = called.map_err(|error| format!("unsuitable arguments: {error}"))?;
                serde_json::to_vec(&called.await?).map_err(|error| error.to_string())
            })
        };
        let methods = self.services.entry(service.to_owned()).or_default();
        methods.insert(method.to_owned(), Box::new(answer));
        self
    }

    /// Calls a method.
    ///
    /// # Errors
    /// For the caller: there is no such method, the arguments do not suit it, or it failed.
    pub async fn call(
        &self,
        service: &str,
        method: &str,
        metadata: Metadata,
        arguments: &[u8],
    ) -> Result<Vec<u8>, String> {
        let methods = self.services.get(service);
        let methods = methods.ok_or_else(|| format!("there is no service {service:?}"))?;
        let method = methods
            .get(method)
            .ok_or_else(|| format!("{service} has no method {method:?}"))?;
        method(arguments, metadata).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        Registry::new()
            .method("Arith", "Div", async |(a, b): (i64, i64), _| {
                a.checked_div(b)
                    .ok_or_else(|| "division by zero".to_owned())
            })
            .method("Arith", "Who", async |(): (), metadata: Metadata| {
                Ok(metadata.get("caller").cloned())
            })
    }

    async fn call(service: &str, method: &str, arguments: &str) -> Result<String, String> {
        let metadata = Metadata::from([("caller".into(), "me".into())]);
        let registry = registry();
        let answer = registry.call(service, method, metadata, arguments.as_bytes());
        answer.await.map(|json| String::from_utf8(json).unwrap())
    }

    #[tokio::test]
    async fn a_call_reaches_the_method_with_its_arguments_and_metadata() {
        assert_eq!(call("Arith", "Div", "[7, 2]").await.unwrap(), "3");
        assert_eq!(call("Arith", "Who", "null").await.unwrap(), r#""me""#);
    }

    #[tokio::test]
    async fn whatever_fails_is_told_to_the_caller() {
        for (service, method, arguments, told) in [
            ("Arith", "Div", "[1, 0]", "division by zero"),
            ("Arith", "Div", "[1", "unsuitable arguments"),
            ("Arith", "Pow", "[1, 2]", r#"Arith has no method "Pow""#),
            ("Maths", "Div", "[1, 2]", r#"there is no service "Maths""#),
        ] {
            let error = call(service, method, arguments).await.unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
