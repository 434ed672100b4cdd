//! The kernel's counters, which wrap, as numbers that do not.

use std::collections::{BTreeMap, HashMap};

use ctnetlink::CpuStats;

/// Sums over the CPUs since the first reading, which counts from the namespace's making.
///
/// The kernel's counters have 32 bits for each CPU. A sum of them would fall each time that one wraps, which
/// Prometheus would take for a start from zero.
#[derive(Debug, Default)]
pub struct KernelTotals {
    last: HashMap<(u16, &'static str), u32>,
    sums: BTreeMap<&'static str, u64>,
}

impl KernelTotals {
    /// Adds what was counted since the last reading; gives the sums by the kernel's names. What this kernel
    /// does not count is not among them.
    pub fn add(&mut self, cpus: &[CpuStats]) -> BTreeMap<&'static str, u64> {
        for cpu in cpus {
            for (name, value) in cpu.fields() {
                let Some(value) = value else { continue };
                let last = self.last.insert((cpu.cpu, name), value).unwrap_or(0);
                *self.sums.entry(name).or_default() += u64::from(since(last, value));
            }
        }
        self.sums.clone()
    }
}

/// What a counter went up by. Where it fell from the top of its range it has wrapped; elsewhere
/// it began anew.
const fn since(last: u32, value: u32) -> u32 {
    if value >= last || last > u32::MAX - (1 << 30) {
        value.wrapping_sub(last)
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(cpu: u16, drop: u32) -> CpuStats {
        CpuStats {
            cpu,
            drop: Some(drop),
            ..CpuStats::default()
        }
    }

    #[test]
    fn sums_go_on_where_the_kernel_s_counters_wrap_or_begin_anew() {
        let mut totals = KernelTotals::default();
        let mut drops = |cpus: &[CpuStats]| totals.add(cpus)["drop"];
        assert_eq!(drops(&[cpu(0, u32::MAX - 1), cpu(1, 5)]), 4_294_967_299);
        assert_eq!(drops(&[cpu(0, 3), cpu(1, 6)]), 4_294_967_305);
        // Another namespace of the same name.
        assert_eq!(drops(&[cpu(0, 1), cpu(1, 0)]), 4_294_967_306);
    }

    #[test]
    fn what_the_kernel_does_not_count_is_not_zero() {
        let sums = KernelTotals::default().add(&[cpu(0, 0)]);
        assert_eq!(sums.into_iter().collect::<Vec<_>>(), [("drop", 0)]);
    }
}
