//! Header fields: made of what the user has, added without a panic, shown without their values. What a field means must never enter.

use std::fmt;

use http::header::MaxSizeReached;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Result};

/// A header from whatever the user has; says which one was wrong, but not its value.
pub(crate) fn header<K, V>(name: K, value: V) -> Result<(HeaderName, HeaderValue)>
where
    HeaderName: TryFrom<K>,
    <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
    HeaderValue: TryFrom<V>,
    <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
{
    let name = HeaderName::try_from(name).map_err(|error| {
        let error = error.into();
        Error::invalid(format!("header name: {error}")).with_source(error)
    })?;
    let value = HeaderValue::try_from(value).map_err(|error| {
        let error = error.into();
        Error::invalid(format!("value of header {name}: {error} (control characters are not allowed)")).with_source(error)
    })?;
    Ok((name, value))
}

/// Adds a field, after others of the same name. A map holds 24,576 names, and its own `append` panics at the next one.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<()> {
    headers.try_append(name, value).map(drop).map_err(too_many)
}

/// Sets a field, in place of others of the same name.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<()> {
    headers.try_insert(name, value).map(drop).map_err(too_many)
}

fn too_many(error: MaxSizeReached) -> Error {
    Error::invalid("more header fields than a request can have").with_source(error)
}

/// Header fields as shown to people: their names, as any value may be a secret.
pub(crate) struct Names<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
