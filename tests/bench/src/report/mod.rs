//! A run as text: a table on the terminal, Markdown for the documentation, and a page with plots.

pub(crate) mod html;
pub(crate) mod markdown;
mod plot;
pub(crate) mod table;
