//! Names that a machine or its configuration gives to numbers.

use std::fmt;

use ipnet::IpNet;

use crate::field::MarkPart;

/// What names mean on this machine.
///
/// [`Vocabulary::default`] knows the usual services and the contract's places in the mark, but no
/// names for what is in them.
pub struct Vocabulary {
    /// Uplinks.
    pub provider: MarkNames,
    /// Applications.
    pub app: MarkNames,
    /// Traffic classes.
    pub prio: MarkNames,
    /// Services and their ports; a name may have several.
    pub services: Vec<(String, u16)>,
    /// Labels, as in `connlabel.conf`.
    pub labels: Vec<(String, u8)>,
    /// This machine's own addresses, asked for only if a query needs them.
    pub local: LocalAddresses,
}

/// Finds out a machine's own addresses, or says why it cannot.
pub type LocalAddresses = Box<dyn Fn() -> Result<Vec<IpNet>, String> + Send + Sync>;

/// A number in the mark, `(mark >> shift) & mask`, and names of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkNames {
    /// How far the number is shifted: 0 to 31 bits.
    pub shift: u32,
    /// Which bits it has after the shift.
    pub mask: u32,
    /// Names of the numbers.
    pub names: Vec<(u32, String)>,
}

impl Vocabulary {
    pub(crate) const fn part(&self, part: MarkPart) -> &MarkNames {
        match part {
            MarkPart::Provider => &self.provider,
            MarkPart::App => &self.app,
            MarkPart::Prio => &self.prio,
        }
    }
}

impl MarkNames {
    const fn at(shift: u32, mask: u32) -> Self {
        Self {
            shift,
            mask,
            names: Vec::new(),
        }
    }

    /// The bits of the mark that hold it.
    pub(crate) fn bits(&self) -> u32 {
        self.mask.checked_shl(self.shift).unwrap_or(0)
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        let services = SERVICES.map(|(name, port)| (name.to_owned(), port));
        Self {
            provider: MarkNames::at(16, 0xffff),
            app: MarkNames::at(8, 0xff),
            prio: MarkNames::at(0, 0xff),
            services: services.into(),
            labels: Vec::new(),
            local: Box::new(|| Err("nobody has told them".to_owned())),
        }
    }
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary")
            .field("provider", &self.provider)
            .field("app", &self.app)
            .field("prio", &self.prio)
            .finish_non_exhaustive()
    }
}

/// What is known where there is no `/etc/services` (IANA's names).
const SERVICES: [(&str, u16); 36] = [
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("dns", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ntp", 123),
    ("imap", 143),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("isakmp", 500),
    ("syslog", 514),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pop3s", 995),
    ("openvpn", 1194),
    ("pptp", 1723),
    ("nfs", 2049),
    ("mysql", 3306),
    ("rdp", 3389),
    ("postgresql", 5432),
    ("sip", 5060),
    ("http-alt", 8080),
    ("wireguard", 51820),
];
