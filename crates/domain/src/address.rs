//! Which network addresses a customer's URL may lead to.
//!
//! A webhook address is data somebody else gave: it must not reach what only this server can reach. The check is made
//! on the address that is connected to, after the name was resolved, so a name cannot change its mind in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What may be reached beside public addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// This machine (`127.0.0.0/8`, `::1`): on in `carillon dev`.
    pub loopback: bool,
    /// Private ranges (RFC 1918, RFC 4193, shared and link-local space): off unless configured.
    pub private: bool,
}

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere on the Internet.
    Public,
    /// This machine.
    Loopback,
    /// A network of this site: RFC 1918, RFC 4193, RFC 6598, link-local.
    Private,
    /// Nowhere a webhook can be: unspecified, multicast, documentation, reserved.
    Nowhere,
}

impl AddressPolicy {
    /// Whether a connection to `address` may be made.
    pub fn allows(self, address: IpAddr) -> bool {
        match Place::of(address) {
            Place::Public => true,
            Place::Loopback => self.loopback,
            Place::Private => self.private,
            Place::Nowhere => false,
        }
    }
}

impl Place {
    /// The place of `address`. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as the IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => {
                embedded_v4(address).map_or_else(|| Self::of_v6(address), Self::of_v4)
            }
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            // RFC 6890: "this network", protocol assignments, documentation, benchmarking, multicast, reserved.
            (0, ..)
            | (192, 0, 0 | 2)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., ..) => Self::Nowhere,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) | (169, 254, _) | (100, 64..=127, _) => {
                Self::Private
            }
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // Unique local (fc00::/7) and link-local (fe80::/10).
            [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80 => Self::Private,
            // Documentation (RFC 3849).
            [0x2001, 0x0db8, ..] => Self::Nowhere,
            // Global unicast is 2000::/3; all else is unassigned, multicast or unspecified.
            [first, ..] if first & 0xe000 == 0x2000 => Self::Public,
            _ => Self::Nowhere,
        }
    }
}

fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => from(high, low),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => from(high, low),
        [0x2002, high, low, ..] => from(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::of(text.parse().unwrap())
    }

    #[test]
    fn addresses_have_their_place() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(place(public), Place::Public, "{public}");
        }
        for loopback in [
            "127.0.0.1",
            "127.255.0.9",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert_eq!(place(loopback), Place::Loopback, "{loopback}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(place(private), Place::Private, "{private}");
        }
        for nowhere in [
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.51.100.7",
            "::",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert_eq!(place(nowhere), Place::Nowhere, "{nowhere}");
        }
    }

    #[test]
    fn nothing_but_public_is_allowed_by_default() {
        let policy = AddressPolicy::default();
        assert!(policy.allows("1.1.1.1".parse().unwrap()));
        assert!(!policy.allows("127.0.0.1".parse().unwrap()));
        assert!(!policy.allows("169.254.169.254".parse().unwrap()));
        let dev = AddressPolicy {
            loopback: true,
            private: false,
        };
        assert!(dev.allows("::1".parse().unwrap()));
        assert!(!dev.allows("10.0.0.1".parse().unwrap()));
    }
}
