//! Filters of broadcasts, by their ids.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::green::drop_contained;
use crate::lock::Lock;
use crate::ziface::{Data, IConnection};

/// The filters that this server has for broadcasts of the nodes of its cluster.
#[derive(Default)]
pub(crate) struct ClusterFilters(Lock<HashMap<u32, Arc<Filter>>>);

/// Whether a member gets a message, by what the broadcast says of it.
pub(super) type Filter = dyn Fn(&Arc<dyn IConnection>, &Data) -> bool + Send + Sync;

impl ClusterFilters {
    pub(super) fn add(&self, filter_id: u32, filter: Arc<Filter>) -> Result<()> {
        let mut filters = self.0.lock();
        if filters.contains_key(&filter_id) {
            return Err(Error::RepeatedFilter { filter_id });
        }
        filters.insert(filter_id, filter);
        Ok(())
    }

    pub(super) fn find(&self, filter_id: u32) -> Result<Arc<Filter>> {
        let filter = self.0.lock().get(&filter_id).cloned();
        filter.ok_or(Error::FilterNotFound { filter_id })
    }
}

/// The filters are of the program, and dropped with the last handle of its server.
impl Drop for ClusterFilters {
    fn drop(&mut self) {
        let filters = std::mem::take(self.0.get_mut());
        filters.into_values().for_each(drop_contained);
    }
}

impl fmt::Debug for ClusterFilters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterFilters").field("len", &self.0.lock().len()).finish()
    }
}
