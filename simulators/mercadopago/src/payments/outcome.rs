//! How a payment begins: by its means of payment, and for cards by the name on the card.

use super::model::Status;
use crate::sites::Method;

/// The first state of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) detail: String,
}

impl Outcome {
    pub(crate) fn new(status: Status, detail: &str) -> Self {
        Self { status, detail: detail.to_owned() }
    }

    pub(crate) fn approved() -> Self {
        Self::new(Status::Approved, "accredited")
    }

    pub(crate) fn rejected(detail: &str) -> Self {
        Self::new(Status::Rejected, detail)
    }

    /// Waiting for the buyer to pay it somewhere else.
    pub(crate) fn waiting(method: &Method) -> Self {
        let detail = match method.kind {
            "bank_transfer" => "pending_waiting_transfer",
            _ => "pending_waiting_payment",
        };
        Self::new(Status::Pending, detail)
    }

    /// What the published test names stand for; any other name is approved.
    pub(crate) fn of_holder(name: &str) -> Self {
        let detail = match name.trim().to_uppercase().as_str() {
            "CONT" => return Self::new(Status::InProcess, "pending_contingency"),
            "OTHE" => "cc_rejected_other_reason",
            "CALL" => "cc_rejected_call_for_authorize",
            "FUND" => "cc_rejected_insufficient_amount",
            "SECU" => "cc_rejected_bad_filled_security_code",
            "EXPI" => "cc_rejected_bad_filled_date",
            "FORM" => "cc_rejected_bad_filled_other",
            "CARD" => "cc_rejected_bad_filled_card_number",
            "INST" => "cc_rejected_invalid_installments",
            "DUPL" => "cc_rejected_duplicated_payment",
            "LOCK" => "cc_rejected_card_disabled",
            "CTNA" => "cc_rejected_card_type_not_allowed",
            "ATTE" => "cc_rejected_max_attempts",
            "BLAC" => "cc_rejected_blacklist",
            _ => return Self::approved(),
        };
        Self::rejected(detail)
    }

    /// A seller who wants a yes or a no at once gets no `in_process`.
    pub(crate) fn made_binary(self) -> Self {
        match self.status {
            Status::InProcess => Self::rejected("cc_rejected_other_reason"),
            _ => self,
        }
    }

    /// A seller who takes the money later gets it held.
    pub(crate) fn held(self) -> Self {
        match self.status {
            Status::Approved => Self::new(Status::Authorized, "pending_capture"),
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide() {
        assert_eq!(Outcome::of_holder("APRO"), Outcome::approved());
        assert_eq!(Outcome::of_holder(" fund "), Outcome::rejected("cc_rejected_insufficient_amount"));
        assert_eq!(Outcome::of_holder("CONT").status, Status::InProcess);
        assert_eq!(Outcome::of_holder("CONT").made_binary().status, Status::Rejected);
        assert_eq!(Outcome::of_holder("Juana Molina").held().status, Status::Authorized);
    }
}
