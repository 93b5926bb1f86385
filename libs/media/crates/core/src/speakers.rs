//! Who speaks: smoothed audio levels (RFC 6464) ranked with hysteresis.

use std::time::{Duration, Instant};

/// Quieter than this is not speech.
const SPEECH_DBOV: f32 = -45.0;
/// A speaker falls silent only this much below the threshold.
const HYSTERESIS_DB: f32 = 6.0;
/// Time constant of the smoothing: a syllable raises at once, a pause between words does not lower.
const RELEASE: Duration = Duration::from_millis(600);
const SILENCE: f32 = -127.0;

/// Smoothed loudness of one audio track.
#[derive(Debug, Clone, Copy)]
pub struct Loudness {
    level: f32,
    at: Option<Instant>,
    speaking: bool,
}

impl Default for Loudness {
    fn default() -> Self {
        Self { level: SILENCE, at: None, speaking: false }
    }
}

impl Loudness {
    /// Takes a packet's level in dBov (-127 silence to 0 loudest).
    pub fn observe(&mut self, now: Instant, dbov: i8) {
        let level = f32::from(dbov.clamp(-127, 0));
        let faded = self.faded(now);
        // Rises within two packets of 20 ms, so that a click alone makes no speaker.
        self.level = if level > faded { faded + (level - faded) * 0.5 } else { faded };
        self.at = Some(now);
    }

    /// The level now, or `None` for somebody who does not speak.
    pub fn speaking(&mut self, now: Instant) -> Option<i8> {
        let level = self.faded(now);
        let threshold = if self.speaking { SPEECH_DBOV - HYSTERESIS_DB } else { SPEECH_DBOV };
        self.speaking = level >= threshold;
        self.speaking.then_some(level as i8)
    }

    fn faded(&self, now: Instant) -> f32 {
        let Some(at) = self.at else { return SILENCE };
        let elapsed = now.saturating_duration_since(at).as_secs_f32() / RELEASE.as_secs_f32();
        SILENCE + (self.level - SILENCE) * (-elapsed * 0.5).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_a_speaker_and_a_click_or_a_pause_between_words_is_not_a_change() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut voice = Loudness::default();
        voice.observe(at(0), -20);
        assert_eq!(voice.speaking(at(0)), None, "a click");
        for i in 1..10 {
            voice.observe(at(i * 20), -20);
        }
        assert!(voice.speaking(at(200)).is_some());
        assert!(voice.speaking(at(400)).is_some(), "a pause between words");
        assert_eq!(voice.speaking(at(3_000)), None);
    }
}
