//! Networks of addresses, as `TrustedProxies` names them.

use std::fmt;
use std::net::IpAddr;

use super::field::{Field, Rule, Scalar};

/// Networks of addresses: `10.0.0.0/8`, `fd00::/8` or single addresses, with commas between them. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// How many bits of an address have to be those of this one.
    bits: u32,
}

impl Networks {
    /// Reads networks with commas between them. `None` if one of them is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::default());
        }
        text.split(',').map(|word| Network::parse(word.trim())).collect::<Option<_>>().map(Self)
    }

    /// Whether an address is in one of them. One of IPv4 may come in the form of IPv6, as it does on a socket for both.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Network { address, bits }) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{address}/{bits}")?;
        }
        Ok(())
    }
}

impl Network {
    fn parse(word: &str) -> Option<Self> {
        let (address, bits) = match word.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (word, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        (bits <= most).then_some(Self { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl Field for Networks {
    fn take(&mut self, value: &Scalar, _rule: Rule) -> bool {
        let Scalar::Text(text) = value else { return false };
        Self::parse(text).map(|networks| *self = networks).is_some()
    }

    fn expected(&self, _rule: Rule) -> String {
        "networks or addresses with commas between them, such as 10.0.0.0/8,::1".to_string()
    }

    fn scalar(&self) -> Scalar {
        Scalar::Text(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_by_its_first_bits() {
        let networks = Networks::parse("10.0.0.0/8, 192.168.1.7,fd00::/8 ,0.0.0.0/32").unwrap();
        for (address, is_in) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.6", false),
            ("::ffff:10.1.2.3", true),
            ("fdff::1", true),
            ("fe00::1", false),
            ("0.0.0.0", true),
        ] {
            assert_eq!(networks.contain(address.parse().unwrap()), is_in, "{address}");
        }
        assert!(Networks::parse("0.0.0.0/0").unwrap().contain([1, 2, 3, 4].into()));
        assert!(!Networks::default().contain([1, 2, 3, 4].into()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "a", ",", "10.0.0.1,", "1.2.3.4/+8"] {
            assert_eq!(Networks::parse(bad), None, "{bad}");
        }
        assert!(Networks::parse(" ").unwrap().is_empty());
        assert_eq!(Networks::parse("10.0.0.1, ::/0").unwrap().to_string(), "10.0.0.1/32,::/0");
    }
}
