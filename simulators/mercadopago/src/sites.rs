//! The countries Mercado Pago works in: currency, domain and means of payment of each.

use serde_json::{Value, json};

use crate::money::Money;

/// A country and what follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) id: &'static str,
    pub(crate) country: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) decimals: u32,
    pub(crate) methods: &'static [Method],
}

/// A means of payment in one country.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// The smallest amount it takes, in the currency's smallest unit.
    min_minor: i64,
}

const fn method(id: &'static str, name: &'static str, kind: &'static str, min_minor: i64) -> Method {
    Method { id, name, kind, min_minor }
}

const fn card(id: &'static str, name: &'static str, min_minor: i64) -> Method {
    method(id, name, "credit_card", min_minor)
}

/// The largest amount any method takes, in the smallest unit.
const MAX_MINOR: i64 = 10_000_000_000;

static SITES: &[Site] = &[
    Site {
        id: "MLA",
        country: "AR",
        currency: "ARS",
        decimals: 2,
        methods: &[
            card("visa", "Visa", 100),
            card("master", "Mastercard", 100),
            card("amex", "American Express", 100),
            method("debvisa", "Visa Débito", "debit_card", 100),
            method("debmaster", "Mastercard Débito", "debit_card", 100),
            method("account_money", "Dinero en cuenta", "account_money", 100),
            method("rapipago", "Rapipago", "ticket", 5_000),
            method("pagofacil", "Pago Fácil", "ticket", 5_000),
        ],
    },
    Site {
        id: "MLB",
        country: "BR",
        currency: "BRL",
        decimals: 2,
        methods: &[
            card("visa", "Visa", 50),
            card("master", "Mastercard", 50),
            card("amex", "American Express", 50),
            method("elo", "Elo", "credit_card", 50),
            method("debelo", "Elo Débito", "debit_card", 50),
            method("pix", "Pix", "bank_transfer", 1),
            method("bolbradesco", "Boleto", "ticket", 400),
            method("pec", "Pagamento na lotérica", "ticket", 400),
            method("account_money", "Saldo em conta", "account_money", 50),
        ],
    },
    Site {
        id: "MLM",
        country: "MX",
        currency: "MXN",
        decimals: 2,
        methods: &[
            card("visa", "Visa", 500),
            card("master", "Mastercard", 500),
            method("debvisa", "Visa Débito", "debit_card", 500),
            method("debmaster", "Mastercard Débito", "debit_card", 500),
            method("oxxo", "OXXO", "ticket", 1_000),
            method("account_money", "Dinero en cuenta", "account_money", 500),
        ],
    },
    Site {
        id: "MLC",
        country: "CL",
        currency: "CLP",
        decimals: 0,
        methods: &[
            card("visa", "Visa", 1_000),
            card("master", "Mastercard", 1_000),
            card("amex", "American Express", 1_000),
            method("account_money", "Dinero en cuenta", "account_money", 1_000),
        ],
    },
    Site {
        id: "MCO",
        country: "CO",
        currency: "COP",
        // Sources disagree; whole pesos are what every interface takes.
        decimals: 0,
        methods: &[
            card("visa", "Visa", 1_000),
            card("master", "Mastercard", 1_000),
            card("amex", "American Express", 1_000),
            method("efecty", "Efecty", "ticket", 5_000),
            method("account_money", "Dinero en cuenta", "account_money", 1_000),
        ],
    },
    Site {
        id: "MPE",
        country: "PE",
        currency: "PEN",
        decimals: 2,
        methods: &[
            card("visa", "Visa", 100),
            card("master", "Mastercard", 100),
            card("amex", "American Express", 100),
            method("pagoefectivo_atm", "PagoEfectivo", "atm", 100),
            method("account_money", "Dinero en cuenta", "account_money", 100),
        ],
    },
    Site {
        id: "MLU",
        country: "UY",
        currency: "UYU",
        decimals: 2,
        methods: &[
            card("visa", "Visa", 1_500),
            card("master", "Mastercard", 1_500),
            method("abitab", "Abitab", "ticket", 1_500),
            method("redpagos", "Redpagos", "ticket", 1_500),
            method("account_money", "Dinero en cuenta", "account_money", 1_500),
        ],
    },
];

/// The country with that id.
pub(crate) fn find(id: &str) -> Option<&'static Site> {
    SITES.iter().find(|site| site.id == id)
}

impl Site {
    pub(crate) fn method(&self, id: &str) -> Option<&'static Method> {
        find(self.id)?.methods.iter().find(|method| method.id == id)
    }

    /// The brand of a card number, by its first digits, where this country takes that brand.
    pub(crate) fn brand(&self, number: &str) -> Option<&'static Method> {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| number.starts_with(prefix));
        let id = if starts(&["506776"]) {
            "debelo"
        } else if starts(&["5067", "6362", "4514"]) {
            "elo"
        } else if starts(&["418914"]) {
            "debvisa"
        } else if starts(&["557905"]) {
            "debmaster"
        } else if starts(&["4"]) {
            "visa"
        } else if starts(&["34", "37"]) {
            "amex"
        } else if starts(&["5", "2"]) {
            "master"
        } else {
            return None;
        };
        self.method(id)
    }
}

impl Method {
    pub(crate) fn is_card(&self) -> bool {
        matches!(self.kind, "credit_card" | "debit_card" | "prepaid_card")
    }

    /// Paid elsewhere after the payment is made: pending until then.
    pub(crate) fn is_deferred(&self) -> bool {
        matches!(self.kind, "bank_transfer" | "ticket" | "atm")
    }

    pub(crate) fn takes(&self, amount: Money) -> bool {
        (self.min_minor..=MAX_MINOR).contains(&amount.minor)
    }

    /// As `GET /v1/payment_methods` lists it.
    pub(crate) fn json(&self, decimals: u32) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "payment_type_id": self.kind,
            "status": "active",
            "deferred_capture": if self.kind == "credit_card" { "supported" } else { "unsupported" },
            "min_allowed_amount": Money { minor: self.min_minor, decimals }.json(),
            "max_allowed_amount": Money { minor: MAX_MINOR, decimals }.json(),
            "accreditation_time": 0,
            "processing_modes": ["aggregator"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_test_cards_are_recognised() {
        let brand = |site: &str, number: &str| find(site).unwrap().brand(number).map(|method| method.id);
        assert_eq!(brand("MLA", "5031755734530604"), Some("master"));
        assert_eq!(brand("MLA", "4509953566233704"), Some("visa"));
        assert_eq!(brand("MLA", "371180303257522"), Some("amex"));
        assert_eq!(brand("MLB", "5067766783888311"), Some("debelo"));
        assert_eq!(brand("MLM", "4189141221267633"), Some("debvisa"));
        assert_eq!(brand("MLM", "5579053461482647"), Some("debmaster"));
        assert_eq!(brand("MLM", "371180303257522"), None);
    }
}
