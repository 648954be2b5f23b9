//! What a program may learn of the TLS below a connection.

use crate::ziface::IConnection;
use crate::znet::transport::tls_info::TlsInfo;

impl dyn IConnection {
    /// What was agreed on by TLS, also below WebSocket; copied, so ask once and keep it. `None` if the connection is not encrypted, once it
    /// is closed, and while its peer is away. With the cargo feature `tls`.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// # fn set_up(server: &Server) {
    /// server.set_on_conn_start(|conn| {
    ///     let info = conn.get_tls_info().ok_or("not encrypted")?;
    ///     let certificate = info.peer_certificates.first().ok_or("no certificate")?;
    ///     println!("{} bytes of certificate over TLS {}", certificate.len(), info.version);
    ///     Ok(())
    /// });
    /// # }
    /// ```
    #[doc(alias = "ConnectionState")]
    pub fn get_tls_info(&self) -> Option<TlsInfo> {
        self.connection().line().get()?.tls_info()
    }
}
