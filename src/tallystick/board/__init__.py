"""The books in a browser, for people who type no commands: pages that are only read, served here or written as files.

Keeps: nothing is written, in no store and for no page; no card number stands whole anywhere, in no address either; a
page needs no script and asks nobody for anything; every text of the books is escaped; nobody else's page can read it.

Read in this order: `page` (what a page is made of, as values), `shown` (which names and texts may be shown), `desk`
(the books, for one page), then `pages/` (a file for each kind of page), `charts`, `counting` (what takes long), `board`
(all pages by name), `render` with its templates, `static_files`, `guard` (who may read), `app` and `serve` (over HTTP),
`export` (as files).

It adds nothing up: figures are those of the reports. It calls reports, diagram, and what of the books only reads. The
command line calls it.
"""
