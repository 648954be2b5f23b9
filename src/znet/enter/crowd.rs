//! How many sockets of each address are open, if that is limited.

use crate::lock::Lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, MutexGuard};

/// Open sockets by address; for IPv6, by network.
#[derive(Default)]
pub(crate) struct Crowd(Lock<HashMap<IpAddr, usize>>);

/// One of them. It goes with the socket, so one handed to a connection that is resumed counts where its peer is now.
pub(crate) struct Member {
    crowd: Arc<Crowd>,
    from: IpAddr,
}

/// Where one of them is put once it is known who it is: a proxy says so after its socket has come.
#[derive(Clone, Default)]
pub(crate) struct Seat(Arc<Lock<Option<Member>>>);

impl Seat {
    pub(super) fn take(&self, member: Option<Member>) {
        let before = std::mem::replace(&mut *self.0.lock(), member);
        drop(before);
    }
}

impl Crowd {
    /// Counts one more. `None` if there are `most` already.
    pub(crate) fn join(this: &Arc<Self>, from: IpAddr, most: usize) -> Option<Member> {
        let mut members = this.lock();
        let count = members.entry(from).or_default();
        (*count < most).then(|| {
            *count += 1;
            Member { crowd: Arc::clone(this), from }
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.crowd.lock();
        if let Some(count) = members.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                members.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_as_it_may_and_is_forgotten_with_its_last() {
        let crowd = Arc::default();
        let join = |host: u8| Crowd::join(&crowd, IpAddr::from([10, 0, 0, host]), 2);
        let members = [join(1), join(1), join(2)];
        assert!(members.iter().all(Option::is_some) && join(1).is_none());
        drop(members);
        assert!(crowd.lock().is_empty());
        assert!(join(1).is_some());
    }
}
