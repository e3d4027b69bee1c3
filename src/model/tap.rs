//! Listening to what an adapter hands over.

use super::completeness::Certificate;
use super::snapshot::{MemberRow, MemberSink, MembershipState, SinkError, Unreadable};

/// Hands everything on to a sink, and lets somebody see each row and hear of the beginning of each
/// reading before.
pub struct Tap<'a, R, B> {
    /// What takes everything.
    pub sink: &'a mut dyn MemberSink,
    /// Sees each row.
    pub row: R,
    /// Hears of each group whose reading begins.
    pub begins: B,
}

impl<R, B> MemberSink for Tap<'_, R, B>
where
    R: FnMut(&MemberRow) + Send,
    B: FnMut(&str) + Send,
{
    fn member(&mut self, row: MemberRow) -> Result<(), SinkError> {
        (self.row)(&row);
        self.sink.member(row)
    }

    fn begin_reading(&mut self, group: &str) {
        (self.begins)(group);
        self.sink.begin_reading(group);
    }

    fn begin_listing(&mut self, group: &str) {
        self.sink.begin_listing(group);
    }

    fn listed(&mut self, member_id: &str, state: MembershipState) {
        self.sink.listed(member_id, state);
    }

    fn unreadable(&mut self, member_id: &str, what: Unreadable) {
        self.sink.unreadable(member_id, what);
    }

    fn refused_at(&mut self, member_id: &str, seconds: i64) {
        self.sink.refused_at(member_id, seconds);
    }

    fn end_listing(&mut self, certificate: Certificate) {
        self.sink.end_listing(certificate);
    }

    fn account_state(&mut self, certificate: Certificate) {
        self.sink.account_state(certificate);
    }

    fn whole_account(&mut self) {
        self.sink.whole_account();
    }

    fn absent(&mut self, address: &str) {
        self.sink.absent(address);
    }

    fn everybody(&mut self, certificate: Certificate) {
        self.sink.everybody(certificate);
    }
}
