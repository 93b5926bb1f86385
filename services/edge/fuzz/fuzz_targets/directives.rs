//! No query panics, and what is accepted has one spelling.
#![no_main]
use libfuzzer_sys::fuzz_target;
use odeon_edge::directives::Directives;

fuzz_target!(|query: &str| {
    let Ok(parsed) = Directives::parse(query) else {
        return;
    };
    let mut canonical = String::new();
    parsed.append_to(&mut canonical);
    assert!(canonical.len() <= 60 && canonical.is_ascii());
    assert_eq!(
        Directives::parse(canonical.trim_start_matches('?')),
        Ok(parsed)
    );
});
