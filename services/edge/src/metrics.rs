//! Counters of the whole process and their Prometheus text. Never an id in a label.
use crate::refusal::{self, Refusal};
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the duration histogram, in milliseconds; 6 s is the longest blocking reload.
const DURATION_MS: [u64; 10] = [1, 5, 20, 50, 100, 350, 1000, 2500, 6000, 10_000];

/// Monotonic counters.
#[derive(Debug)]
pub struct Metrics {
    /// Answers by status class, 1xx to 5xx.
    answers: [AtomicU64; 5],
    refused: Vec<AtomicU64>,
    durations: [AtomicU64; DURATION_MS.len() + 1],
    duration_sum_us: AtomicU64,
    /// Body bytes handed to connections.
    pub egress: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections turned away because a limit was reached.
    pub turned_away: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            answers: Default::default(),
            refused: refusal::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            durations: Default::default(),
            duration_sum_us: AtomicU64::new(0),
            egress: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            handshakes_failed: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts an answer that took `micros`.
    pub fn answered(&self, status: u16, micros: u64) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.answers[class].fetch_add(1, Relaxed);
        let bucket = DURATION_MS
            .iter()
            .position(|ms| micros <= ms * 1000)
            .unwrap_or(DURATION_MS.len());
        self.durations[bucket].fetch_add(1, Relaxed);
        self.duration_sum_us.fetch_add(micros, Relaxed);
    }

    /// Counts a refusal by its reason.
    pub fn refused(&self, refusal: Refusal) {
        if let Some(at) = refusal::ALL
            .iter()
            .position(|known| known.reason == refusal.reason)
        {
            self.refused[at].fetch_add(1, Relaxed);
        }
    }

    /// Requests answered so far.
    pub fn requests(&self) -> u64 {
        self.answers.iter().map(|n| n.load(Relaxed)).sum()
    }

    /// Writes these counters.
    pub fn write(&self, page: &mut Page) {
        page.head("answers_total", "counter", "Answers by status class.");
        for (class, count) in self.answers.iter().enumerate() {
            page.line(
                "answers_total",
                &format!("class=\"{}xx\"", class + 1),
                count.load(Relaxed),
            );
        }
        page.head(
            "refused_total",
            "counter",
            "Refusals of the edge itself by reason.",
        );
        for (refusal, count) in refusal::ALL.iter().zip(&self.refused) {
            let count = count.load(Relaxed);
            if count > 0 {
                page.line(
                    "refused_total",
                    &format!("reason=\"{}\"", refusal.reason),
                    count,
                );
            }
        }
        page.counter(
            "egress_bytes_total",
            "Body bytes handed to connections.",
            self.egress.load(Relaxed),
        );
        page.counter(
            "accepted_total",
            "Connections accepted.",
            self.accepted.load(Relaxed),
        );
        page.counter(
            "turned_away_total",
            "Connections beyond a limit.",
            self.turned_away.load(Relaxed),
        );
        let failed = self.handshakes_failed.load(Relaxed);
        page.counter("handshakes_failed_total", "TLS handshakes failed.", failed);
        self.write_durations(page);
    }

    fn write_durations(&self, page: &mut Page) {
        page.head(
            "request_seconds",
            "histogram",
            "From a request's head to its answer's head, waiting included.",
        );
        let mut sum = 0;
        for (count, bound) in self.durations.iter().zip(DURATION_MS) {
            sum += count.load(Relaxed);
            page.line(
                "request_seconds_bucket",
                &format!("le=\"{}\"", bound as f64 / 1000.0),
                sum,
            );
        }
        sum += self.durations[DURATION_MS.len()].load(Relaxed);
        page.line("request_seconds_bucket", "le=\"+Inf\"", sum);
        page.line(
            "request_seconds_sum",
            "",
            self.duration_sum_us.load(Relaxed) as f64 / 1e6,
        );
        page.line("request_seconds_count", "", sum);
    }
}

/// A page in Prometheus' text format.
#[derive(Debug, Default)]
pub struct Page(pub String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(
            self.0,
            "# HELP odeon_edge_{name} {help}\n# TYPE odeon_edge_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        let _ = writeln!(self.0, "odeon_edge_{name}{labels} {value}");
    }

    /// Adds a counter.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(name, "", value);
    }

    /// Adds a gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.line(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_come_out_as_prometheus_text() {
        let metrics = Metrics::default();
        metrics.answered(200, 500);
        metrics.answered(403, 400_000);
        metrics.refused(refusal::TOKEN_SCOPE);
        let mut page = Page::default();
        metrics.write(&mut page);
        for line in [
            "odeon_edge_answers_total{class=\"2xx\"} 1",
            "odeon_edge_refused_total{reason=\"TOKEN_SCOPE\"} 1",
            "odeon_edge_request_seconds_bucket{le=\"0.001\"} 1",
            "odeon_edge_request_seconds_bucket{le=\"+Inf\"} 2",
            "odeon_edge_request_seconds_sum 0.4005",
        ] {
            assert!(page.0.lines().any(|l| l == line), "{line} in\n{}", page.0);
        }
        assert_eq!(metrics.requests(), 2);
    }
}
