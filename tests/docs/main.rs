//! What the pages say is so: links, tables, named tests, and the layout of the source.

mod chinese;
mod compatibility;
mod documents;
mod imports;
mod layout;
mod overview;
mod reliability;
mod security;
mod tables;
mod wording;
