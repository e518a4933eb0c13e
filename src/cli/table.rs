//! Tables for people: columns as wide as what stands in them.

use super::door::say;

/// Prints a head and rows, and below each row its notes.
pub fn print<const N: usize>(head: [&str; N], rows: Vec<([String; N], Vec<String>)>) {
    let mut widths = head.map(|cell| cell.chars().count());
    for (cells, _) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    say(&line(&head.map(str::to_owned), &widths));
    for (cells, notes) in &rows {
        say(&line(cells, &widths));
        notes.iter().for_each(|note| say(&format!("    {note}")));
    }
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:width$}"));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_text() {
        let cells = ["a", "ärzte", ""].map(str::to_owned);
        assert_eq!(line(&cells, &[3, 6, 4]), "a    ärzte");
    }
}
