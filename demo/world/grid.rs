//! The ground, in cells. A player sees its own cell and the eight around it. Bounds and cells are those of the tutorial.

use crate::message::Position;

const X: [f32; 2] = [85.0, 410.0];
const Z: [f32; 2] = [75.0, 400.0];
const COLUMNS: usize = 10;
const ROWS: usize = 20;
/// The size of a cell. It is rounded down, so the last column and the last row are wider by what is left.
const WIDTH: f32 = 32.0;
const DEPTH: f32 = 16.0;

pub(crate) const CELLS: usize = COLUMNS * ROWS;

/// The nearest place within the bounds; `None` if a number is none.
pub(crate) fn within(at: Position) -> Option<Position> {
    let are_numbers = [at.x, at.y, at.z, at.v].iter().all(|number| number.is_finite());
    are_numbers.then(|| Position { x: at.x.clamp(X[0], X[1]), z: at.z.clamp(Z[0], Z[1]), ..at })
}

/// The cell of a place within the bounds.
pub(crate) fn cell(at: Position) -> usize {
    let column = ((at.x - X[0]) / WIDTH) as usize;
    let row = ((at.z - Z[0]) / DEPTH) as usize;
    row.min(ROWS - 1) * COLUMNS + column.min(COLUMNS - 1)
}

/// What is seen from a cell: itself and its neighbours, fewer at the edges.
pub(crate) fn seen_from(cell: usize) -> Vec<usize> {
    let (column, row) = (cell % COLUMNS, cell / COLUMNS);
    let rows = row.saturating_sub(1)..=(row + 1).min(ROWS - 1);
    let columns = column.saturating_sub(1)..=(column + 1).min(COLUMNS - 1);
    rows.flat_map(|row| columns.clone().map(move |column| row * COLUMNS + column)).collect()
}
