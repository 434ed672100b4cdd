//! Numbers, sizes and times as people read them.

const SIZES: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// 1234567 as `1,234,567`.
pub fn count(value: u64) -> String {
    engine::health::grouped(value)
}

/// 0.123 as `12.3 %`.
pub fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// 1234567 as `1.2 MB`, in powers of 1000.
pub fn size(bytes: f64) -> String {
    let mut left = bytes.max(0.0);
    let mut step = 0;
    while left >= 999.5 && step < SIZES.len() - 1 {
        left /= 1000.0;
        step += 1;
    }
    let unit = SIZES[step];
    if step == 0 || left >= 99.95 {
        format!("{left:.0} {unit}")
    } else {
        format!("{left:.1} {unit}")
    }
}

/// Bytes a second, as `1.2 MB/s`.
pub fn rate(bytes: f64) -> String {
    format!("{}/s", size(bytes))
}

/// How many a second: `0.5`, `12`, `1,234`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is small and not negative"
)]
pub fn each_second(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 {
        format!("{rate:.1}")
    } else {
        count(rate.max(0.0).round() as u64)
    }
}

/// 3725 as `1h 2m`; two units at most.
pub fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut parts: Vec<String> = Vec::new();
    for (length, unit) in units {
        let many = rest / length;
        rest %= length;
        if many > 0 || (unit == "s" && parts.is_empty()) {
            parts.push(format!("{many}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

/// An address with its port; IPv6 in brackets.
pub fn endpoint(address: &str, port: Option<u16>) -> String {
    match port {
        None => address.to_owned(),
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
    }
}

/// In whose time moments are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// This machine's.
    #[default]
    Local,
    /// Everybody's.
    Utc,
}

impl Clock {
    /// The time of day.
    pub fn time_of_day(self, ns: u64) -> String {
        self.moment(ns, "%H:%M:%S")
    }

    /// A moment with its date.
    pub fn date(self, ns: u64) -> String {
        self.moment(ns, "%Y-%m-%d %H:%M:%S")
    }

    fn moment(self, ns: u64, form: &str) -> String {
        let utc = chrono::DateTime::from_timestamp_nanos(ns.cast_signed());
        match self {
            Self::Local => utc.with_timezone(&chrono::Local).format(form).to_string(),
            Self::Utc => utc.format(form).to_string(),
        }
    }
}

/// A stranger's text without what a terminal would act on.
pub fn printable(text: &str) -> String {
    let seen = |c| match engine::printable::is_unseen(c) {
        true => '\u{fffd}',
        false => c,
    };
    text.chars().map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_read_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(123), "123");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(percent(0.0471), "4.7 %");
        assert_eq!(size(0.0), "0 B");
        assert_eq!(size(999.4), "999 B");
        assert_eq!(size(999.6), "1.0 kB");
        assert_eq!(size(1_234_567.0), "1.2 MB");
        assert_eq!(size(123_456_789.0), "123 MB");
        assert_eq!(rate(12_300.0), "12.3 kB/s");
        assert_eq!(each_second(0.0), "0");
        assert_eq!(each_second(0.52), "0.5");
        assert_eq!(each_second(1234.4), "1,234");
    }

    #[test]
    fn durations_have_two_units() {
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(59), "59s");
        assert_eq!(duration(3725), "1h 2m");
        assert_eq!(duration(3600), "1h");
        assert_eq!(duration(432_000), "5d");
    }

    #[test]
    fn endpoints_of_both_families() {
        assert_eq!(endpoint("10.0.0.1", Some(80)), "10.0.0.1:80");
        assert_eq!(endpoint("2001:db8::1", Some(80)), "[2001:db8::1]:80");
        assert_eq!(endpoint("10.0.0.1", None), "10.0.0.1");
    }
}
