//! People's own tables: a CSV with a column of paths, and lists of tags such as those of MSD-100.
//!
//! `csv`: a table with names of columns on top; options say which column is what, which rows count, and what stays together.
//!
//! `tags`: `train.tsv`, `val.tsv` (or `valid.tsv`, `validation.tsv`) and `test.tsv`, each line a path and its tags, separated by
//! tabs; `tags.txt`, if it is there, is the list of the tags that count, one a line. The 100 tags of the Million Song Dataset
//! (MSD-100, as in Meseguer-Brocal, Desblancs and Hennequin, ICASSP 2024) come as such lists; its recordings are not public.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::folder::Folder;
use super::gather::{Candidate, Gathered};
use super::giantsteps::split_of;
use super::table::{Row, Table};
use super::{ExpectedRows, ImportError, ImportOptions, KnownDataSet};
use crate::dataset::{Split, SplitItem};
use crate::tag::LabelSet;

pub(super) const SETS: &[KnownDataSet] = &[
    KnownDataSet {
        name: "tags",
        title: "Lists of paths and tags, such as MSD-100's",
        task: "any of the tags",
        paper: "",
        layout: "{train,val,test}.tsv: path, then tags, separated by tabs; tags.txt: the tags that count",
        split_rule: "the three lists",
        licence: "your own; MSD-100: recordings are not public",
        origin: "your own",
        expected: ExpectedRows::UNKNOWN,
        gather: gather_lists,
    },
    KnownDataSet {
        name: CSV,
        title: "People's own: a table with a column of paths",
        task: "one class, tags, or numbers, by --label-form",
        paper: "",
        layout: "TABLE.csv or .tsv with names of columns on top (see --table, --path, --label)",
        split_rule: "a column (--split), else 8:1:1 by chance, together by --group",
        licence: "your own",
        origin: "your own",
        expected: ExpectedRows::UNKNOWN,
        gather: gather_table,
    },
];

const CSV: &str = "csv";

/// How a table of people's own is read.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions {
    /// The file; relative to the data set's folder, or else to the working directory. `None` for the only table in the
    /// folder.
    pub file: Option<PathBuf>,
    /// The column of paths.
    pub path: String,
    /// The columns of labels: one for a class or tags, one or more for numbers.
    pub labels: Vec<String>,
    /// What the labels are.
    pub form: LabelForm,
    /// What separates tags in a cell.
    pub separator: char,
    /// The column of splits, where the table has one.
    pub split: Option<String>,
    /// The column of what must stay in one split.
    pub group: Option<String>,
    /// What a row must be to count.
    pub filters: Vec<Filter>,
    /// Classes with fewer rows are left out.
    pub minimum_of_class: usize,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            file: None,
            path: "path".into(),
            labels: vec!["label".into()],
            form: LabelForm::Class,
            separator: ';',
            split: None,
            group: None,
            filters: vec![],
            minimum_of_class: 1,
        }
    }
}

/// What the labels of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelForm {
    /// One class.
    Class,
    /// Any number of tags in a cell.
    Tags,
    /// A number in each column.
    Numbers,
}

/// A condition on a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    column: String,
    value: String,
    is_equal: bool,
}

impl std::str::FromStr for Filter {
    type Err = String;

    /// Reads `column=value` or `column!=value`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (column, value, is_equal) = match text.split_once("!=") {
            Some((column, value)) => (column, value, false),
            None => match text.split_once('=') {
                Some((column, value)) => (column, value, true),
                None => return Err(format!("`{text}` is no condition: expected COLUMN=VALUE or COLUMN!=VALUE")),
            },
        };
        if column.trim().is_empty() {
            return Err(format!("`{text}` names no column: expected COLUMN=VALUE or COLUMN!=VALUE"));
        }
        Ok(Self { column: column.trim().to_owned(), value: value.trim().to_owned(), is_equal })
    }
}

/// The folder and options for a table that was given in place of its folder.
pub(super) fn of_file(known: &KnownDataSet, given: &Path, options: &ImportOptions) -> (PathBuf, ImportOptions) {
    let mut options = options.clone();
    if known.name != CSV || !given.is_file() {
        return (given.to_owned(), options);
    }
    let name = given.file_name().unwrap_or_default();
    options.table.file.get_or_insert_with(|| name.into());
    let folder = given.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (folder.to_owned(), options)
}

/// Where the table is.
fn table_file(folder: &Folder, options: &TableOptions) -> Result<PathBuf, ImportError> {
    if let Some(file) = &options.file {
        let below = folder.absolute(file);
        return Ok(if below.is_file() { below } else { file.clone() });
    }
    let is_table = |path: &&PathBuf| {
        path.components().count() == 1
            && path.extension().is_some_and(|extension| extension == "csv" || extension == "tsv")
    };
    let tables: Vec<&PathBuf> = folder.files().iter().filter(is_table).collect();
    match tables.as_slice() {
        [only] => Ok(folder.absolute(only)),
        _ => Err(folder.layout_error("a table with recordings", "one .csv or .tsv in the folder, or --table FILE")),
    }
}

fn gather_table(folder: &Folder, options: &ImportOptions) -> Result<Gathered, ImportError> {
    let chosen = &options.table;
    let file = table_file(folder, chosen)?;
    let is_tabs = file.extension().is_some_and(|extension| extension == "tsv");
    let table = Table::read(&file, if is_tabs { b'\t' } else { b',' })?;
    let path = table.column(&chosen.path)?;
    let labels: Vec<usize> = chosen.labels.iter().map(|name| table.column(name)).collect::<Result<_, _>>()?;
    if labels.is_empty() || (labels.len() > 1 && chosen.form != LabelForm::Numbers) {
        let found = labels.len();
        return Err(ImportError::Option(format!("expected one column of labels (several for numbers), found {found}")));
    }
    let split = chosen.split.as_deref().map(|name| table.column(name)).transpose()?;
    let group = chosen.group.as_deref().map(|name| table.column(name)).transpose()?;
    let filters: Vec<(usize, &Filter)> = chosen
        .filters
        .iter()
        .map(|filter| Ok((table.column(&filter.column)?, filter)))
        .collect::<Result<_, ImportError>>()?;

    let mut gathered = Gathered::new(match &chosen.split {
        Some(name) => format!("column `{name}`"),
        None => format!("{} by chance, {}", options.shares, together(chosen)),
    });
    let is_chosen =
        |row: &&Row| filters.iter().all(|(column, filter)| (row.cell(*column) == filter.value) == filter.is_equal);
    let mut groups: HashMap<PathBuf, String> = HashMap::new();
    let rows: Vec<&Row> = table.rows().iter().filter(is_chosen).collect();
    if rows.len() < table.rows().len() {
        gathered.notes.push(format!("{} of {} rows fulfil the conditions", rows.len(), table.rows().len()));
    }
    for row in rows {
        let name = row.cell(path);
        if name.is_empty() {
            return Err(table.error(row, format!("`{}` is empty", chosen.path)));
        }
        let Some(label) = label(&table, row, &labels, chosen)? else {
            gathered.leave_out(name, format!("`{}` is empty", chosen.labels.join(", ")));
            continue;
        };
        let split = match split {
            None => Split::Train,
            Some(column) => split_of(&row.cell(column).into()).ok_or_else(|| {
                table.error(row, format!("expected train, val or test, found `{}`", row.cell(column)))
            })?,
        };
        let mut candidate = Candidate::new(folder.find_or_missing(name), label, split);
        if let Some(column) = group.filter(|column| !row.cell(*column).is_empty()) {
            groups.insert(candidate.audio.clone(), row.cell(column).to_owned());
            candidate.ori_uid = Some(row.cell(column).to_owned());
        }
        gathered.candidates.push(candidate);
    }
    leave_out_rare(&mut gathered, chosen);
    if split.is_none() {
        let item = |candidate: &Candidate| SplitItem {
            group: groups.get(&candidate.audio).cloned().unwrap_or_else(|| format!("\0{}", candidate.audio.display())),
            stratum: candidate.label.as_str().unwrap_or_default().to_owned(),
        };
        gathered.split_randomly(options, &options.shares, |_| true, item);
    }
    Ok(gathered)
}

fn together(options: &TableOptions) -> String {
    match &options.group {
        Some(name) => format!("what has the same `{name}` stays together"),
        None => "recording by recording".into(),
    }
}

/// The label of a row; `None` where its cell is empty.
fn label(table: &Table, row: &Row, columns: &[usize], options: &TableOptions) -> Result<Option<Value>, ImportError> {
    if columns.iter().any(|&column| row.cell(column).is_empty()) && options.form != LabelForm::Tags {
        return Ok(None);
    }
    Ok(Some(match options.form {
        LabelForm::Class => row.cell(columns[0]).into(),
        LabelForm::Tags => {
            let tags = row.cell(columns[0]).split(options.separator).map(str::trim).filter(|tag| !tag.is_empty());
            tags.collect::<Vec<_>>().into()
        }
        LabelForm::Numbers => {
            let numbers: Vec<f64> =
                columns.iter().map(|&column| table.number(row, column)).collect::<Result<_, _>>()?;
            json!(numbers)
        }
    }))
}

fn leave_out_rare(gathered: &mut Gathered, options: &TableOptions) {
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in &gathered.candidates {
        if let Some(class) = candidate.label.as_str() {
            *sizes.entry(class.to_owned()).or_default() += 1;
        }
    }
    sizes.retain(|_, size| *size < options.minimum_of_class);
    gathered.candidates.retain(|candidate| candidate.label.as_str().is_none_or(|class| !sizes.contains_key(class)));
    for (class, size) in sizes {
        gathered.leave_out(
            format!("class {class}"),
            format!("it has {size} rows, fewer than {}", options.minimum_of_class),
        );
    }
}

fn gather_lists(folder: &Folder, _: &ImportOptions) -> Result<Gathered, ImportError> {
    let names: [(&[&str], Split); 3] =
        [(&["train"], Split::Train), (&["val", "valid", "validation"], Split::Validation), (&["test"], Split::Test)];
    let mut gathered = Gathered::new("the three lists");
    let known: Option<HashSet<String>> = match folder.find("tags.txt") {
        None => None,
        Some(file) => {
            let set = LabelSet::parse(&folder.text(file)?)
                .map_err(|error| ImportError::file(&folder.absolute(file), error))?;
            Some(set.labels().iter().map(|label| label.name().to_owned()).collect())
        }
    };
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for (names, split) in names {
        let Some(list) = names.iter().find_map(|name| folder.find(&format!("{name}.tsv"))) else {
            return Err(folder.layout_error("lists of tags", format!("{}.tsv", names.join(".tsv or "))));
        };
        for (index, line) in folder.text(list)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let mut fields = line.split('\t').map(str::trim);
            let path = fields.next().filter(|path| !path.is_empty()).ok_or_else(|| ImportError::Line {
                path: folder.absolute(list),
                line: index + 1,
                reason: "expected a path and its tags, separated by tabs".into(),
            })?;
            let (tags, others): (Vec<&str>, Vec<&str>) = fields
                .filter(|tag| !tag.is_empty())
                .partition(|tag| known.as_ref().is_none_or(|known| known.contains(*tag)));
            for tag in others {
                *unknown.entry(tag.to_owned()).or_default() += 1;
            }
            gathered.candidates.push(Candidate::new(folder.find_or_missing(path), tags, split));
        }
    }
    for (tag, count) in unknown {
        gathered.leave_out(format!("tag {tag}"), format!("it is not in tags.txt ({count} recordings)"));
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Place, counts, left_out, rows, unreadable};
    use super::super::{ImportProgress, import};
    use super::*;

    fn notes() -> Place {
        let place = Place::new();
        let mut table = "\u{feff}path,instrument,midi_pitch,agrees,take\n".to_owned();
        for number in 0..20 {
            let instrument = if number < 10 { "cello" } else { "flute" };
            let agrees = if number % 5 == 4 { "no" } else { "yes" };
            table.push_str(&format!("notes/{number}.wav,{instrument},{},{agrees},take {}\n", 40 + number, number / 2));
            place.wav(&format!("notes/{number}.wav"), 0.2);
        }
        table.push_str("notes/absent.wav,cello,50,yes,\nnotes/broken.wav,cello,50,yes,\nnotes/0.wav,,50,yes,\n");
        table.push_str("notes/organ.wav,organ,50,yes,\n");
        place.write("notes/broken.wav", "x");
        place.wav("notes/organ.wav", 0.2);
        place.write("notes.csv", table);
        place
    }

    fn options(table: TableOptions) -> ImportOptions {
        ImportOptions { table, ..ImportOptions::default() }
    }

    #[test]
    fn a_table_is_filtered_grouped_and_split_with_a_seed() {
        let place = notes();
        let table = TableOptions {
            labels: vec!["instrument".into()],
            filters: vec!["agrees=yes".parse().unwrap(), "midi_pitch != 41".parse().unwrap()],
            group: Some("take".into()),
            minimum_of_class: 2,
            ..TableOptions::default()
        };
        let imported = place.try_import("csv", &options(table.clone())).unwrap();
        assert_eq!(imported.records.len(), 15);
        assert_eq!(rows(&imported)[0].1, "cello");
        assert_eq!(imported.report.missing, ["notes/absent.wav"]);
        assert_eq!(unreadable(&imported), ["broken.wav"]);
        assert_eq!(
            left_out(&imported),
            "notes/0.wav: `instrument` is empty\nclass organ: it has 1 rows, fewer than 2\n"
        );
        assert_eq!(imported.report.notes, ["19 of 24 rows fulfil the conditions"]);
        assert_eq!(imported.report.split_rule, "8:1:1 by chance, what has the same `take` stays together");
        assert_eq!(imported.report.seed, Some(0));
        assert_eq!(imported.clone().into_data_set().unwrap().problems(&[]), []);
        let split_of_take: HashMap<_, _> = imported.records.iter().map(|row| (&row.ori_uid, row.split)).collect();
        assert!(imported.records.iter().all(|row| split_of_take[&row.ori_uid] == row.split));
        // The table itself stands for its folder.
        let nothing = |_: ImportProgress| {};
        assert_eq!(import("csv", &place.path("notes.csv"), &options(table), &nothing).unwrap(), imported);
    }

    #[test]
    fn tags_numbers_and_splits_of_a_table() {
        let place = Place::new();
        place.write(
            "set.tsv",
            "file\ttags\ta\tv\tpart\n1.wav\trock; pop\t0.5\t-1\ttrain\n2.wav\t\t1\t2\tvalid\n3.wav\tpop\t1\t2\tTEST\n",
        );
        for name in ["1.wav", "2.wav", "3.wav"] {
            place.wav(name, 0.2);
        }
        let table = TableOptions {
            path: "file".into(),
            labels: vec!["tags".into()],
            form: LabelForm::Tags,
            split: Some("part".into()),
            ..TableOptions::default()
        };
        let imported = place.try_import("csv", &options(table.clone())).unwrap();
        assert_eq!(rows(&imported)[0], ("1.wav", r#"["rock","pop"]"#.into(), "train"));
        assert_eq!(rows(&imported)[1], ("2.wav", "[]".into(), "val"));
        assert_eq!(counts(&imported), [1, 1, 1]);
        let numbers = TableOptions { form: LabelForm::Numbers, labels: vec!["a".into(), "v".into()], ..table.clone() };
        let imported = place.try_import("csv", &options(numbers.clone())).unwrap();
        assert_eq!(imported.records[0].label, json!([0.5, -1.0]));

        let error = |table: TableOptions| place.try_import("csv", &options(table)).unwrap_err().to_string();
        assert!(
            error(TableOptions { labels: vec!["x".into()], ..table.clone() })
                .contains("expected a column `x`, found the columns file")
        );
        let two_classes = TableOptions { form: LabelForm::Class, ..numbers.clone() };
        assert!(error(two_classes).contains("expected one column of labels (several for numbers), found 2"));
        let of_text = TableOptions { labels: vec!["file".into()], ..numbers };
        assert!(error(of_text).contains("set.tsv, line 2: expected a number in `file`, found `1.wav`"));
        let of_number = TableOptions { split: Some("a".into()), ..table.clone() };
        assert!(error(of_number).contains("line 2: expected train, val or test, found `0.5`"));
        place.write("other.csv", "path,label\n");
        assert!(error(table).contains("one .csv or .tsv in the folder, or --table FILE"));
        let empty = TableOptions { file: Some("other.csv".into()), ..TableOptions::default() };
        assert!(error(empty).contains("no recording is left: none was found"));
    }

    #[test]
    fn conditions_are_a_column_and_a_value() {
        for wrong in ["", "x", "=y", "!=y"] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
        let filter: Filter = "a != b=c".parse().unwrap();
        assert_eq!(filter, Filter { column: "a".into(), value: "b=c".into(), is_equal: false });
    }

    #[test]
    fn lists_of_tags_are_read() {
        let place = Place::new();
        place.write("tags.txt", "rock\npop\n");
        place.write("train.tsv", "a.wav\trock\tpolka\n\n");
        place.write("valid.tsv", "b.wav\n");
        place.write("test.tsv", "c.wav\tpop\trock\nabsent.wav\tpop\nd.wav\tpop\n");
        for name in ["clips/a.wav", "clips/b.wav", "clips/c.wav"] {
            place.wav(name, 0.2);
        }
        place.write("clips/d.wav", "x");
        let imported = place.import("tags");
        assert_eq!(
            rows(&imported),
            [
                ("clips/a.wav", r#"["rock"]"#.into(), "train"),
                ("clips/b.wav", "[]".into(), "val"),
                ("clips/c.wav", r#"["pop","rock"]"#.into(), "test"),
            ]
        );
        assert_eq!(left_out(&imported), "tag polka: it is not in tags.txt (1 recordings)\n");
        assert_eq!(imported.report.missing, ["absent.wav"]);
        place.write("test.tsv", "\tpop\n");
        let error = place.try_import("tags", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("test.tsv, line 1: expected a path and its tags"), "{error}");
        fs_err::remove_file(place.path("valid.tsv")).unwrap();
        let error = place.try_import("tags", &ImportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("expected val.tsv or valid.tsv or validation.tsv"), "{error}");
    }
}
