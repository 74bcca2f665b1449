//! A table, for a terminal or a spreadsheet.

/// Columns and rows of text; the first column names the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// For a terminal: the first column to the left, the others to the right.
    #[must_use]
    pub fn to_text(&self) -> String {
        let all = || std::iter::once(&self.columns).chain(&self.rows);
        let width =
            |column: usize| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = format!("{}\n", self.title);
        for row in all() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let cell = shown(cell);
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            let line: Vec<String> = cells.collect();
            text.push_str("  ");
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// For a spreadsheet, after RFC 4180.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// Names come from outside: what would steer a terminal is shown as a question mark.
fn shown(cell: &str) -> String {
    cell.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// Quoted where it must be. A name that a spreadsheet would take for a formula is preceded by an apostrophe; what would steer a
/// terminal is shown as a question mark, except the ends of lines, which quotation marks hold.
pub(crate) fn csv_cell(cell: &str) -> String {
    let harmless = |character: char| character == '\n' || !character.is_control();
    let cell: String = cell.chars().map(|character| if harmless(character) { character } else { '?' }).collect();
    let formula = cell.starts_with(['=', '@', '+'])
        || (cell.starts_with('-') && !cell.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let cell = if formula { format!("'{cell}") } else { cell };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}
