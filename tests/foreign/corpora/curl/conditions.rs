//! Conditional requests and transfers that are gone on with: to us they are header fields, which the caller sets.

use super::job::{Expected, File, Op, Upload};

/// The fields that say it. Of what is uploaded, only the part that is left is sent.
///
/// # Errors
/// What there are no fields for.
pub(super) fn headers(op: &Op, upload: &mut Option<Upload>, files: &[File]) -> Result<Vec<(&'static str, String)>, String> {
    let mut headers = Vec::new();
    if let Some(name) = &op.etag_compare {
        let tag = files.iter().find(|file| file.name == *name).map(|file| String::from_utf8_lossy(&file.bytes.0));
        // Without one, any tag would be new: curl says so by an empty one.
        headers.push(("if-none-match", tag.map_or_else(|| "\"\"".to_owned(), |tag| tag.trim().to_owned())));
    }
    if let Some(date) = &op.time_cond {
        let (name, date) = match date.strip_prefix('-') {
            Some(date) => ("if-unmodified-since", date),
            None => ("if-modified-since", &**date),
        };
        headers.push((name, http_date(date).ok_or("curl's command line (a date)")?));
    }
    if let Some(resume) = &op.resume_from {
        headers.push(resumed(resume, upload, files)?);
    }
    Ok(headers)
}

/// Whether curl looks at the answer's date itself and drops what is too old: nothing that is asked of us.
pub(super) fn is_curls_own(op: &Op, expected: &Expected) -> bool {
    let is_dropped = expected.final_body.as_ref().is_some_and(|body| body.0.is_empty());
    op.time_cond.is_some() && is_dropped && expected.statuses.as_deref() == Some(&[200])
}

fn resumed(resume: &str, upload: &mut Option<Upload>, files: &[File]) -> Result<(&'static str, String), String> {
    let from: Option<usize> = match resume {
        "-" => None,
        number => Some(number.parse().map_err(|_| "curl's command line (resume)")?),
    };
    let Some(upload) = upload else {
        // What is there already is the one file.
        let there = match files {
            [file] => Some(file.bytes.0.len()),
            _ => None,
        };
        let from = from.or(there).ok_or("curl's command line (resume)")?;
        return Ok(("range", format!("bytes={from}-")));
    };
    // Nobody knows how much the server has already.
    let (from, length) = (from.unwrap_or(0), upload.bytes.0.len());
    if from >= length {
        return Err("curl's command line (resume)".into());
    }
    upload.bytes.0.drain(..from);
    Ok(("content-range", format!("bytes {from}-{}/{length}", length - 1)))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `dec 12 12:00:00 1999 GMT` as RFC 9110 §5.6.7 has it; curl reads many more forms.
fn http_date(date: &str) -> Option<String> {
    let parts: Vec<_> = date.split_ascii_whitespace().collect();
    let [month, day, time, year, "GMT"] = parts[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let (day, year): (usize, usize) = (day.parse().ok()?, year.parse().ok()?);
    let is_time = time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    // Sakamoto's way to the day of the week.
    let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month];
    let years = if month < 2 { year.checked_sub(1)? } else { year };
    let weekday =
        ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][(years + years / 4 - years / 100 + years / 400 + shift + day) % 7];
    is_time.then(|| format!("{weekday}, {day:02} {} {year} {time} GMT", MONTHS[month]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(words: &str) -> Op {
        serde_json::from_str(&format!(r#"{{"urls": [], "method": "GET", {words}}}"#)).unwrap()
    }

    fn said(words: &str, upload: &mut Option<Upload>) -> Result<Vec<(&'static str, String)>, String> {
        let files = [serde_json::from_str(r#"{"name": "log/there", "b64": "InRhZyIK"}"#).unwrap()];
        headers(&op(words), upload, &files)
    }

    #[test]
    fn conditions_are_fields() {
        for (words, name, value) in [
            (r#""etag_compare": "log/there""#, "if-none-match", "\"tag\""),
            (r#""etag_compare": "log/none""#, "if-none-match", "\"\""),
            (r#""time_cond": "feb 29 08:05:00 2024 GMT""#, "if-modified-since", "Thu, 29 Feb 2024 08:05:00 GMT"),
            (r#""time_cond": "-jan 1 00:00:00 2001 GMT""#, "if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT"),
            (r#""resume_from": "7""#, "range", "bytes=7-"),
            (r#""resume_from": "-""#, "range", "bytes=6-"),
        ] {
            assert_eq!(said(words, &mut None), Ok(vec![(name, value.to_owned())]), "{words}");
        }
        assert_eq!(said(r#""etag_save": "log/other""#, &mut None), Ok(Vec::new()));
        assert!(said(r#""time_cond": "tomorrow""#, &mut None).is_err());
    }

    #[test]
    fn of_an_upload_the_rest_is_sent() {
        let mut upload = Some(serde_json::from_str(r#"{"b64": "YWJjZGVm", "unknown_length": false}"#).unwrap());
        let headers = said(r#""resume_from": "2""#, &mut upload);
        assert_eq!(headers, Ok(vec![("content-range", "bytes 2-5/6".to_owned())]));
        assert_eq!(upload.as_ref().unwrap().bytes.0, b"cdef");
        assert!(said(r#""resume_from": "9""#, &mut upload).is_err());
    }

    #[test]
    fn what_curl_drops_is_its_own() {
        let expected = |json: &str| serde_json::from_str(json).unwrap();
        let dated = op(r#""time_cond": "x""#);
        let dropped = expected(r#"{"outcome": ["ok"], "statuses": [200], "final_body_b64": ""}"#);
        assert!(is_curls_own(&dated, &dropped));
        assert!(!is_curls_own(&op(r#""json": true"#), &dropped));
        assert!(!is_curls_own(&dated, &expected(r#"{"outcome": ["ok"], "statuses": [304], "final_body_b64": ""}"#)));
        assert!(!is_curls_own(
            &dated,
            &expected(r#"{"outcome": ["ok"], "statuses": [200], "final_body_b64": "YQ=="}"#)
        ));
    }
}
