-- The books of the sandbox. Amounts are integers of minor units; times are epoch milliseconds.
-- For every card and value type: sum of history.updates = balance.available + sum of hold.amount.

create table if not exists meta (
    name  text primary key,
    value text not null
);

create table if not exists card_set (
    id       text primary key,
    physical integer not null,
    pins     integer not null
);

create table if not exists card (
    number        text primary key,
    card_set      text not null references card_set (id),
    position      integer not null,
    pin           text,                        -- null: a legacy card without one
    status        text not null default 'inventory' check (status in ('inventory', 'active', 'suspended')),
    activated     integer,
    account       text not null default '{}',  -- JSON: what updateAccount was sent
    email         text,
    phone         text,
    custom_number text,
    unique (card_set, position)
);
create index if not exists card_free   on card (card_set, status, position);
create index if not exists card_email  on card (email)         where email is not null;
create index if not exists card_phone  on card (phone)         where phone is not null;
create index if not exists card_custom on card (custom_number) where custom_number is not null;

create table if not exists balance (
    number    text not null references card (number),
    kind      text not null,
    code      text not null,
    available integer not null check (available >= 0),  -- net of holds
    primary key (number, kind, code)
) without rowid;

create table if not exists hold (
    id      text primary key,                  -- the transactionId that placed it
    number  text not null references card (number),
    kind    text not null,
    code    text not null,
    placed  integer not null check (placed >= 0),
    amount  integer not null check (amount between 0 and placed),  -- still held; 0: closed
    created integer not null
);
create index if not exists hold_open on hold (number) where amount > 0;

create table if not exists history (
    seq               integer primary key autoincrement,
    transaction_id    text not null unique,
    request_ref       text not null,
    number            text references card (number),  -- null: an anonymous checkout
    time              integer not null,
    location          text,
    terminal          text,
    custom_request_id text,
    external_id       text,
    operation         text not null,           -- issue, redeem, hold, redeem_from_hold, ...: finer than callType
    call_type         text not null,
    updates           text not null,           -- JSON [[kind, code, minor], ...]; a hold is a 0
    shown             integer not null,        -- 0: cardHistory lists it without its updates
    hold_id           text,
    return_related    integer not null,
    expires           text,
    voided_by         text
);
create index if not exists history_card on history (number, seq);
create unique index if not exists history_request on history (request_ref);

create table if not exists checkout (
    id           text primary key,
    number       text references card (number),
    location     text,
    products     text not null,                -- JSON
    total        integer not null,
    mutations    text not null,                -- JSON [[kind, code, minor, is discount], ...]
    stage        text not null check (stage in ('setup', 'complete')),
    completed_by text
);

create table if not exists answer (            -- used only with the setting `deduplicate`
    custom_request_id text primary key,
    status            integer not null,
    body              text not null
);
