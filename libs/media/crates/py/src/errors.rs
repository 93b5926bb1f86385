//! Refusals become the exceptions of `odeon_media.errors`.

use odeon_media_core::{ErrorClass, MediaError};
use pyo3::prelude::*;

/// The exception of a refusal.
pub fn raise(py: Python<'_>, error: &MediaError) -> PyErr {
    let name = match error.class {
        ErrorClass::Sdp => "InvalidSdpError",
        ErrorClass::Argument => "InvalidArgumentError",
        ErrorClass::NotFound => "NotFoundError",
        ErrorClass::State => "StateError",
        ErrorClass::Limit => "LimitError",
        ErrorClass::Transport => "TransportError",
    };
    let build = || -> PyResult<PyErr> {
        let class = py.import("odeon_media.errors")?.getattr(name)?;
        Ok(PyErr::from_value(class.call1((error.reason, error.detail.as_str()))?))
    };
    build().unwrap_or_else(|failure| failure)
}

/// A codec name that is not known.
pub fn unknown_codec(py: Python<'_>, name: &str) -> PyErr {
    raise(py, &MediaError::new(ErrorClass::Argument, "UNKNOWN_CODEC", name))
}
