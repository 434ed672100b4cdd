//! The resolutions: three, and hours for long looks back.

use serde::Serialize;

use super::Settings;

/// How fine something is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A row a second.
    Second,
    /// A row every ten seconds.
    TenSeconds,
    /// A row a minute.
    Minute,
    /// A row an hour, so that a year need not be added up from its minutes whenever somebody looks.
    Hour,
}

const DAY: u64 = 86_400;

impl Step {
    /// From the finest.
    pub const ALL: [Self; 4] = [Self::Second, Self::TenSeconds, Self::Minute, Self::Hour];

    /// Those that are made of finer ones.
    pub(super) const COARSE: [Self; 3] = [Self::TenSeconds, Self::Minute, Self::Hour];

    /// How many seconds a row is of.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::TenSeconds => 10,
            Self::Minute => 60,
            Self::Hour => 3_600,
        }
    }

    /// The step that it is made of.
    pub(super) const fn finer(self) -> Option<Self> {
        match self {
            Self::Second => None,
            Self::TenSeconds => Some(Self::Second),
            Self::Minute => Some(Self::TenSeconds),
            Self::Hour => Some(Self::Minute),
        }
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Second => "seconds",
            Self::TenSeconds => "ten_seconds",
            Self::Minute => "minutes",
            Self::Hour => "hours",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// When the row of a moment begins.
    pub(super) const fn begin(self, time: u64) -> u64 {
        time - time % self.seconds()
    }
}

/// How many rows of each step are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits(pub(super) [u64; 4]);

impl Limits {
    pub(super) const fn rows(self, step: Step) -> u64 {
        self.0[step.index()]
    }

    /// How far back a step goes, in seconds, where nothing is missing.
    pub(super) const fn reach(self, step: Step) -> u64 {
        self.rows(step) * step.seconds()
    }
}

impl From<&Settings> for Limits {
    fn from(settings: &Settings) -> Self {
        let rows = |days: u32, step: Step| u64::from(days) * DAY / step.seconds();
        Self([
            rows(settings.second_days, Step::Second),
            rows(settings.ten_second_days, Step::TenSeconds),
            rows(settings.minute_days, Step::Minute),
            rows(settings.minute_days, Step::Hour),
        ])
    }
}
