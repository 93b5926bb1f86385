//! The Python face: converts types, releases the GIL, maps refusals to exceptions.

mod client;
mod convert;
mod errors;
mod node;
mod types;

use odeon_media_core::codec::{Codec, starts_keyframe};
use pyo3::prelude::*;

/// True when an RTP payload of this codec starts a keyframe.
#[pyfunction]
fn is_keyframe(py: Python<'_>, codec: &str, payload: &[u8]) -> PyResult<bool> {
    let codec = Codec::parse(codec).ok_or_else(|| errors::unknown_codec(py, codec))?;
    Ok(starts_keyframe(codec, payload))
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<node::SfuNode>()?;
    module.add_class::<client::Client>()?;
    module.add_class::<types::NodeEvent>()?;
    module.add_class::<types::Subscription>()?;
    module.add_class::<types::LayerStats>()?;
    module.add_class::<types::TrackStats>()?;
    module.add_class::<types::SlotStats>()?;
    module.add_class::<types::SessionStats>()?;
    module.add_class::<types::NodeStats>()?;
    module.add_class::<types::Frame>()?;
    module.add_class::<types::ClientEvent>()?;
    module.add_class::<types::ClientMedia>()?;
    module.add_class::<types::ClientStats>()?;
    module.add_function(wrap_pyfunction!(is_keyframe, module)?)
}
