//! Everything the simulator remembers, in one value that a reset replaces.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use crate::card_tokens::CardToken;
use crate::config::Config;
use crate::ids::IdSource;
use crate::merchant_orders::MerchantOrder;
use crate::oauth::Tokens;
use crate::payments::{Move, Payment};
use crate::preferences::Preference;
use crate::sellers::Seller;
use crate::webhooks::{Action, Burst};

pub(crate) struct State {
    pub(crate) ids: IdSource,
    pub(crate) sellers: Vec<Seller>,
    pub(crate) preferences: BTreeMap<String, Preference>,
    pub(crate) payments: BTreeMap<i64, Payment>,
    pub(crate) orders: BTreeMap<i64, MerchantOrder>,
    pub(crate) card_tokens: HashMap<String, CardToken>,
    /// What each idempotency key made, by seller and by what it was used for.
    pub(crate) keys: HashMap<(i64, KeyUse, String), i64>,
    /// What marketplaces were given.
    pub(crate) tokens: Tokens,
    payers: HashMap<String, i64>,
    announced: Vec<Burst>,
}

/// What an idempotency key was used for: a key means nothing outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyUse {
    Payment,
    RefundOf(i64),
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            ids: IdSource::new(config.seed),
            sellers: config.sellers.clone(),
            preferences: BTreeMap::new(),
            payments: BTreeMap::new(),
            orders: BTreeMap::new(),
            card_tokens: HashMap::new(),
            keys: HashMap::new(),
            tokens: Tokens::default(),
            payers: HashMap::new(),
            announced: Vec::new(),
        }
    }

    pub(crate) fn find_seller(&self, user_id: i64) -> Option<&Seller> {
        self.sellers.iter().find(|seller| seller.user_id == user_id)
    }

    /// Whose an access token is.
    pub(crate) fn seller_of(&self, token: &str) -> Option<&Seller> {
        let own = self.sellers.iter().find(|seller| seller.access_token == token);
        own.or_else(|| self.find_seller(*self.tokens.access.get(token)?))
    }

    /// A seller's payment; another seller's does not exist for them.
    pub(crate) fn find_payment(&self, seller: i64, id: &str) -> Option<&Payment> {
        let id: i64 = id.parse().ok()?;
        self.payments.get(&id).filter(|payment| payment.seller == seller)
    }

    pub(crate) fn find_preference(&self, seller: i64, id: &str) -> Option<&Preference> {
        self.preferences.get(id).filter(|preference| preference.seller == seller)
    }

    /// The number of the buyer with that address, the same for every payment.
    pub(crate) fn payer_id(&mut self, email: &str) -> i64 {
        if let Some(id) = self.payers.get(email) {
            return *id;
        }
        let id = self.ids.user();
        self.payers.insert(email.to_owned(), id);
        id
    }

    /// Keeps a new payment, ties it to the merchant order of its preference and tells the seller.
    pub(crate) fn insert_payment(&mut self, mut payment: Payment) -> i64 {
        let id = payment.id;
        if let Some(preference_id) = payment.preference.clone() {
            let known = self.orders.values().find(|order| order.preference == preference_id).map(|o| o.id);
            let order_id = known.unwrap_or_else(|| {
                let order = MerchantOrder::of(self.ids.order(), &payment, preference_id);
                let id = order.id;
                self.orders.insert(id, order);
                id
            });
            payment.order = Some(order_id);
        }
        self.payments.insert(id, payment);
        self.announce(id, Action::Created);
        id
    }

    /// Moves a payment on and tells the seller. `None` when there is no such payment, or it may not.
    pub(crate) fn apply(
        &mut self,
        id: i64,
        step: Move,
        now: DateTime<Utc>,
    ) -> Option<Result<(), &'static str>> {
        let moved = self.payments.get_mut(&id)?.apply(step, now);
        if moved.is_ok() {
            self.announce(id, Action::Updated);
        }
        Some(moved)
    }

    /// Cancels what nobody paid in time.
    pub(crate) fn expire_due(&mut self, now: DateTime<Utc>) {
        let due: Vec<i64> =
            self.payments.values().filter(|payment| payment.is_due(now)).map(|payment| payment.id).collect();
        for id in due {
            self.apply(id, Move::Expire, now);
        }
    }

    /// Notes that the seller is to be told about a payment as it is now.
    pub(crate) fn announce(&mut self, payment_id: i64, action: Action) {
        let Some(payment) = self.payments.get(&payment_id) else { return };
        let Some(seller) = self.find_seller(payment.seller) else { return };
        let Some(url) = payment.notification_url.clone().or_else(|| seller.webhook_url.clone()) else {
            return;
        };
        let burst = Burst {
            url,
            user_id: seller.user_id,
            secret: seller.webhook_secret.clone(),
            payment_id,
            order_id: payment.order,
            action,
        };
        self.announced.push(burst);
    }

    pub(crate) fn take_announced(&mut self) -> Vec<Burst> {
        std::mem::take(&mut self.announced)
    }
}
