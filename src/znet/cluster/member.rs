//! A member of a group, on any node.

use std::sync::Arc;

/// A member of a group, on any node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterMember {
    pub(super) node: Arc<str>,
    pub(super) conn_id: u64,
    pub(super) user: Option<Arc<str>>,
}

impl ClusterMember {
    /// The node that it is connected to.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its connection id, on that node.
    pub const fn conn_id(&self) -> u64 {
        self.conn_id
    }

    /// The user that it is logged in as.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

#[cfg(feature = "redis")]
impl ClusterMember {
    /// The members of a node as it tells others of them: its name, then each with id and user, behind their lengths.
    pub(super) fn write_all(node: &str, members: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        write_text(&mut out, Some(node));
        for member in members {
            out.extend_from_slice(&member.conn_id.to_le_bytes());
            write_text(&mut out, member.user());
        }
        out
    }

    /// Reads what another node has written. `None` if that is none.
    pub(super) fn read_all(mut from: &[u8]) -> Option<Vec<Self>> {
        let node: Arc<str> = read_text(&mut from)??.into();
        let mut members = Vec::new();
        while !from.is_empty() {
            let (conn_id, rest) = from.split_first_chunk()?;
            from = rest;
            let user = read_text(&mut from)?.map(Arc::from);
            members.push(Self { node: Arc::clone(&node), conn_id: u64::from_le_bytes(*conn_id), user });
        }
        Some(members)
    }
}

#[cfg(feature = "redis")]
fn write_text(out: &mut Vec<u8>, text: Option<&str>) {
    let len = text.map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// `None` if it is cut short or no text; `Some(None)` if there is none.
#[cfg(feature = "redis")]
fn read_text<'a>(from: &mut &'a [u8]) -> Option<Option<&'a str>> {
    let (len, rest) = from.split_first_chunk()?;
    let len = u32::from_le_bytes(*len);
    if len == u32::MAX {
        *from = rest;
        return Some(None);
    }
    let (text, rest) = rest.split_at_checked(len as usize)?;
    *from = rest;
    std::str::from_utf8(text).ok().map(Some)
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_of_its_members_is_read_and_what_is_cut_short_is_not() {
        let member = |conn_id, user: Option<&str>| ClusterMember {
            node: "one".into(),
            conn_id,
            user: user.map(Arc::from),
        };
        let members = [member(1, Some("ann\n王")), member(u64::MAX, None), member(3, Some(""))];
        let written = ClusterMember::write_all("one", &members);
        assert_eq!(ClusterMember::read_all(&written).unwrap(), members);
        let whole = (0..written.len()).filter(|len| ClusterMember::read_all(&written[..*len]).is_some());
        // Behind the name and behind each member.
        assert_eq!(whole.count(), 3);
        assert_eq!(ClusterMember::read_all(&ClusterMember::write_all("x", &[])), Some(Vec::new()));
    }
}
