//! Intervals, with labels and without, and Harmonix' starts of sections.

use std::path::Path;

use super::AnnotationError;
use super::lines::{Lines, Row};
use crate::metrics::intervals::{Interval, LabelledIntervals};

/// Reads `start end` on each line, in seconds, in order and without overlaps.
///
/// # Errors
/// If the file cannot be read, or a line is no such interval.
pub fn read_intervals(path: &Path) -> Result<Vec<Interval>, AnnotationError> {
    let lines = Lines::read(path)?;
    let mut intervals = Vec::new();
    let mut before = None;
    for row in lines.rows() {
        let [start, end] = row.numbers("start end")?;
        intervals.push(checked(&row, &mut before, start, end, 0.0)?);
    }
    Ok(intervals)
}

/// Reads `start end label` on each line, in seconds, in order and without overlaps. A label is the rest of the line.
///
/// # Errors
/// If the file cannot be read, or a line is no such interval.
pub fn read_labelled_intervals(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    labelled_rows(&Lines::read(path)?, 0.0, |_, _| Ok(()))
}

/// The intervals of a file, each label checked.
///
/// Where some overlap is allowed, intervals of no length are passed over, and one that begins before the one above it ends
/// cuts that one off.
pub(super) fn labelled_rows(
    lines: &Lines,
    overlap_seconds: f64,
    check: impl Fn(&Row<'_>, &str) -> Result<(), AnnotationError>,
) -> Result<LabelledIntervals, AnnotationError> {
    let mut labelled = LabelledIntervals::default();
    let mut before = None;
    for row in lines.rows() {
        let ([start, end], label) = row.words_and_rest("start end label")?;
        let (start, end) = (row.number(start)?, row.number(end)?);
        if overlap_seconds > 0.0 && end <= start {
            continue;
        }
        let line_before = before.map_or(0, |(line, _)| line);
        let interval = checked(&row, &mut before, start, end, overlap_seconds)?;
        check(&row, label)?;
        if let Some(last) = labelled.intervals.last_mut()
            && start < last.end
        {
            if start <= last.start {
                return Err(row.error(format!("a start after {} s, that of line {line_before},", last.start), start));
            }
            last.end = start;
        }
        labelled.push(interval.start, interval.end, label);
    }
    Ok(labelled)
}

/// Reads `start label` on each line: a section goes on to the next line's start, and the last line, `end`, is the end.
///
/// # Errors
/// If the file cannot be read, a line is not so, starts do not ascend, or the last label is not `end`.
pub fn read_section_starts(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    let lines = Lines::read(path)?;
    match sections(&lines)? {
        (sections, None) => Ok(sections),
        (sections, Some((_, label))) if label.eq_ignore_ascii_case("end") => Ok(sections),
        (_, Some((number, label))) => {
            Err(lines.content("a last line with the label `end`", format!("`{label}` on line {number} is")))
        }
    }
}

/// Reads `start label` on each line as [`read_section_starts`], whatever the last label is: the last line is the end. Two
/// of Harmonix' 912 files say `outro` and `instrumental` there, and no time at which these end.
///
/// # Errors
/// If the file cannot be read, a line is not so, or starts do not ascend.
pub fn read_section_boundaries(path: &Path) -> Result<LabelledIntervals, AnnotationError> {
    sections(&Lines::read(path)?).map(|(sections, _)| sections)
}

/// Sections from each start to the next, and the last line with its label.
fn sections(lines: &Lines) -> Result<(LabelledIntervals, Option<(usize, &str)>), AnnotationError> {
    let mut sections = LabelledIntervals::default();
    let mut open: Option<(usize, f64, &str)> = None;
    for row in lines.rows() {
        let ([start], label) = row.words_and_rest("start label")?;
        let start = row.number(start)?;
        match open {
            None if start < 0.0 => return Err(row.error("a start that is not negative", start)),
            None => row.check_time(start)?,
            Some((number, time, label)) => {
                row.check_time(start)?;
                if start <= time {
                    return Err(row.error(format!("a start after {time} s, that of line {number}"), start));
                }
                sections.push(time, start, label);
            }
        }
        open = Some((row.number, start, label));
    }
    Ok((sections, open.map(|(number, _, label)| (number, label))))
}

/// An interval that may follow the one before it, which is given with its line and its end.
fn checked(
    row: &Row<'_>,
    before: &mut Option<(usize, f64)>,
    start: f64,
    end: f64,
    overlap_seconds: f64,
) -> Result<Interval, AnnotationError> {
    if start < 0.0 {
        return Err(row.error("a start that is not negative", start));
    }
    if end <= start {
        return Err(row.error(format!("an end after the start at {start} s"), end));
    }
    row.check_time(end)?;
    if let Some((number, last)) = *before
        && start < last - overlap_seconds
    {
        let expected =
            format!("a start at {} s or later, where the interval of line {number} ends,", last - overlap_seconds);
        return Err(row.error(expected, start));
    }
    *before = Some((row.number, end));
    Ok(Interval::new(start, end))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Folder, assert_refused};
    use super::*;

    #[test]
    fn intervals_and_labels_are_read() {
        let folder = Folder::new();
        assert_eq!(read_intervals(&folder.write("a.txt", "0 1\n1,2.5\n")).unwrap()[1], Interval::new(1.0, 2.5));
        let sections = read_labelled_intervals(&folder.write("a.lab", "0.0\t1.5\tverse one\n2 3   outro\n")).unwrap();
        assert_eq!(sections.labels, ["verse one", "outro"]);
        assert_eq!(sections.intervals[1], Interval::new(2.0, 3.0));
        assert!(read_labelled_intervals(&folder.write("b.lab", "")).unwrap().is_empty());
    }

    #[test]
    fn sections_go_on_to_the_next_start() {
        let folder = Folder::new();
        let sections = read_section_starts(&folder.write("a.txt", "0.0 intro\n10.5 verse\n30 end\n")).unwrap();
        assert_eq!(sections.labels, ["intro", "verse"]);
        assert_eq!(sections.intervals[1], Interval::new(10.5, 30.0));
        let open = folder.write("b.txt", "0.0 intro\n10.5 outro\n");
        assert_eq!(read_section_boundaries(&open).unwrap().labels, ["intro"]);
        assert!(read_section_boundaries(&folder.write("c.txt", "0.0 end\n")).unwrap().is_empty());
        assert_refused(read_section_boundaries, &[("10 intro\n5 end", "line 2: a start after 10 s, that of line 1")]);
        assert_refused(
            read_section_starts,
            &[
                ("0 intro\n10 verse\n", "a last line with the label `end` is expected, and `verse` on line 2 is found"),
                ("10 intro\n5 end", "line 2: a start after 10 s, that of line 1"),
                ("intro", "`start label` is expected"),
            ],
        );
    }

    #[test]
    fn hostile_files_are_refused() {
        assert_refused(
            read_labelled_intervals,
            &[
                ("0 2 a\n1 3 b", "line 2: a start at 2 s or later, where the interval of line 1 ends, is expected"),
                ("2 3 a\n0 1 b", "line 2: a start at 3 s or later"),
                ("2 1 a", "line 1: an end after the start at 2 s is expected, and `1` is found"),
                ("1 1 a", "an end after the start"),
                ("-1 1 a", "a start that is not negative is expected, and `-1` is found"),
                ("0 NaN a", "a finite number is expected, and `NaN` is found"),
                ("0 1", "`start end label` is expected, and `0 1` is found"),
                ("0 1e9 a", "at most 30000"),
            ],
        );
        assert_refused(
            read_intervals,
            &[("0 1 2", "`start end` is expected"), ("0 1\n0.5 2", "line 2: a start at 1 s")],
        );
    }
}
