//! No path panics, and whatever is accepted is plain and stays under its scope.
#![no_main]
use libfuzzer_sys::fuzz_target;
use odeon_edge::path::{Target, is_id};

fuzz_target!(|path: &str| {
    let Ok(target) = Target::parse(path) else {
        return;
    };
    assert!(is_id(target.tenant) && is_id(target.event));
    assert!(
        target
            .resource
            .starts_with(&format!("/{}/{}/", target.tenant, target.event))
    );
    assert!(
        target
            .resource
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-.".contains(&b))
    );
    assert!(!target.resource.contains("..") && !target.resource.contains("//"));
    assert_eq!(path, format!("/t/{}{}", target.token, target.resource));
});
