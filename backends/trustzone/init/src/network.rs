//! The network of QEMU's user mode: a fixed address, one gateway, and the host's loopback.
//!
//! # Source
//! Linux: `rtnetlink(7)`; QEMU: `-netdev user` (10.0.2.0/24, the host is 10.0.2.2, the guest 10.0.2.15).

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};
use std::io;
use std::os::fd::OwnedFd;

/// This machine's address.
const ADDRESS: [u8; 4] = [10, 0, 2, 15];
/// The way out.
const GATEWAY: [u8; 4] = [10, 0, 2, 2];
const INTERFACE: &str = "eth0";

/// Gives the interface its address and routes.
///
/// The nodes of a throw-away run name each other by the host's loopback addresses. This machine has no loopback
/// address of its own: packets to 127.0.0.0/8 go out to QEMU, which connects them on the host.
pub(crate) fn start() -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/ipv4/conf/{INTERFACE}/route_localnet"), "1")?;
    let index = std::fs::read_to_string(format!("/sys/class/net/{INTERFACE}/ifindex"))?;
    let index: u32 = index.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
    let link = Netlink::open()?;
    link.ask(NEW_ADDRESS, CREATE, &address(index))?;
    link.ask(NEW_LINK, 0, &up(index))?;
    link.ask(NEW_ROUTE, CREATE, &route(index, None))?;
    link.ask(NEW_ROUTE, CREATE, &route(index, Some(([127, 0, 0, 0], 8))))
}

struct Netlink(OwnedFd);

impl Netlink {
    fn open() -> io::Result<Self> {
        Ok(Self(socket(AddressFamily::NETLINK, SocketType::RAW, ROUTE)?))
    }

    /// Sends one request and waits for the kernel's verdict.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(16 + body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        // NLM_F_REQUEST and NLM_F_ACK.
        message.extend((flags | 0x1 | 0x4).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        sendto(&self.0, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 4096];
        let (length, _) = recv(&self.0, &mut answer, RecvFlags::empty())?;
        // A message of type NLMSG_ERROR: the header, then the error's number, 0 for none.
        let verdict = answer[..length].get(16..20).and_then(|bytes| bytes.try_into().ok());
        match verdict.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// `struct ifaddrmsg` and its attributes.
fn address(index: u32) -> Vec<u8> {
    let mut body = vec![INET, 24, 0, 0];
    body.extend(index.to_ne_bytes());
    // IFA_ADDRESS, IFA_LOCAL.
    attribute(&mut body, 1, ADDRESS);
    attribute(&mut body, 2, ADDRESS);
    body
}

/// `struct ifinfomsg`: flags and mask of them, IFF_UP.
fn up(index: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for word in [index, 1, 1] {
        body.extend(word.to_ne_bytes());
    }
    body
}

/// `struct rtmsg` and its attributes: to a network, or to all the others, through the gateway.
fn route(index: u32, network: Option<([u8; 4], u8)>) -> Vec<u8> {
    // Main table (254), static (4), universe (0), unicast (1).
    let mut body = vec![INET, network.map_or(0, |(_, bits)| bits), 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    if let Some((network, _)) = network {
        // RTA_DST.
        attribute(&mut body, 1, network);
    }
    // RTA_GATEWAY, RTA_OIF.
    attribute(&mut body, 5, GATEWAY);
    attribute(&mut body, 4, index.to_ne_bytes());
    body
}

/// An attribute with four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: [u8; 4]) {
    body.extend(8_u16.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

const INET: u8 = 2;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
/// NLM_F_CREATE and NLM_F_REPLACE.
const CREATE: u16 = 0x400 | 0x100;
/// NETLINK_ROUTE, the protocol with number zero.
const ROUTE: Option<rustix::net::Protocol> = None;
