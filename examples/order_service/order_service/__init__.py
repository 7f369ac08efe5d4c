"""A small order service that sells gift cards and takes them as payment. Copy it, and make it yours.

Read in this order: `models` (the tables), `database` (the tables and the books in one file), `paying` (what an order
asks of several cards), `checkout` (an order is paid, or nothing is taken), `orders` (goods ship, orders are cancelled,
lines come back), `cards` (cards are sold, and get lost), `worker` (goes on with what was left), `compare` (the orders
beside the books). `credit_card` stands for somebody else's gateway. `customers` and `simulate` try all of it, with
faults and kills.

What may be lost at any moment is a process. So there are three ways to do things, and each survives that:

    with the order    one command of the books joins the transaction that writes the order (`connection=session`).
                      Both are written or neither. If the provider has to be asked, `books.send` does so afterwards
    key first         several commands, or a PIN: a row says what is wanted, under which key. Then it is done, then
                      the row says how it ended. Who finds an open row says the same again with the same key
    later             a shipment's settlements are open rows. A scheduled job settles each of them, as "key first"
"""
