//! What the lab's servers offer, and how the gateway marks it.

/// Transport of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// As nftables names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How much a server answers: `answer` bytes for every `request` bytes it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) answer: usize,
    pub(crate) request: usize,
}

impl Ratio {
    /// The answer due for this many bytes in all.
    pub(crate) fn of(self, heard: usize) -> usize {
        heard * self.answer / self.request
    }
}

/// A port that is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    pub(crate) ratio: Ratio,
    /// What the gateway writes into the connection's mark: bits 0–7 a shaping class, bits 8–15 nDPI's
    /// number of the application, bits 16–31 the number of the uplink.
    pub(crate) mark: u32,
}

const fn service(
    transport: Transport,
    port: u16,
    answer: usize,
    request: usize,
    mark: u32,
) -> Service {
    Service {
        transport,
        port,
        ratio: Ratio { answer, request },
        mark,
    }
}

pub(crate) const SSH: Service = service(Transport::Tcp, 22, 1, 1, 0x0001_5c01);
pub(crate) const HTTP: Service = service(Transport::Tcp, 80, 20, 1, 0x0001_0702);
pub(crate) const HTTPS: Service = service(Transport::Tcp, 443, 24, 1, 0x5b03);
pub(crate) const RSYNC: Service = service(Transport::Tcp, 873, 1, 16, 0x0002_a604);
pub(crate) const IMAPS: Service = service(Transport::Tcp, 993, 4, 1, 0x0002_3302);
pub(crate) const DNS: Service = service(Transport::Udp, 53, 4, 1, 0x0001_0501);
pub(crate) const QUIC: Service = service(Transport::Udp, 443, 8, 1, 0x0002_bc02);

/// All of them.
pub(crate) const SERVICES: [Service; 7] = [SSH, HTTP, HTTPS, RSYNC, IMAPS, DNS, QUIC];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_over_the_whole_connection_so_that_small_requests_add_up() {
        assert_eq!(HTTPS.ratio.of(100), 2400);
        assert_eq!(RSYNC.ratio.of(15), 0);
        assert_eq!(RSYNC.ratio.of(32), 2);
    }
}
