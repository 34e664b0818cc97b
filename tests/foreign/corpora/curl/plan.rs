//! A job in our words: an engine's settings, and the calls made on it; or what there are no words for yet.

use std::net::IpAddr;
use std::time::Duration;

use client_conformance::{ProxySetting, Settings};
use client_core::http::Version;
use client_core::{Body, HttpClient, Redirect, RequestBuilder, RequestTarget};
use client_transport::connector::Connector;
use client_transport::proxy::Environment;
use client_transport::route::{Origin, RouteOptions};
use url::Url;

use super::conditions;
use super::connect_to::ConnectTo;
use super::job::{Credentials, File, Job, Op, Redirects, Scene};
use super::labels;
use crate::rules;

/// Calls on one engine.
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) calls: Vec<Call>,
}

/// One call.
pub(super) struct Call {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Body,
    auth: Option<Auth>,
    redirect: Redirect,
    version: Option<Version>,
    target: Option<RequestTarget>,
    max_time: Option<Duration>,
    max_body: Option<u64>,
    /// Only for engines on our transport.
    route: Option<RouteOptions>,
    /// A 4xx or 5xx is an error.
    pub(super) fails_on_status: bool,
}

#[derive(Clone)]
enum Auth {
    Basic(String, String),
    Bearer(String),
}

/// The limit of a call that has none: longer than any takes, unless it waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(8);

/// What curl follows at most, unless it is told otherwise.
const CURLS_LIMIT: usize = 50;

/// What is said by other words of the job as well, or is how curl does without being asked what we do without being asked.
/// `ipv4` only narrows what is tried.
const SAID_OTHERWISE: [&str; 4] = ["method_explicit", "head", "json", "ipv4"];

/// Words of the corpus for what there is no API for; each is a feature, or curl's own.
const WITHOUT_API: [(&str, &str); 11] = [
    ("cookie_engine", "cookies"),
    ("cookie_jar_out", "cookies"),
    ("cookie_files_b64", "cookies"),
    ("junk_session_cookies", "cookies"),
    ("multipart", "multipart"),
    ("decompress", "compression"),
    ("transfer_decoding", "transfer codings"),
    ("retry", "retry"),
    ("proxy_tunnel", "a tunnel for http URLs"),
    ("path_as_is", "paths that are not normalized"),
    ("unix_socket", "a Unix socket, which the corpus's server does not have"),
];

/// Schemes that curl knows and we do not.
const OTHER_SCHEMES: [&str; 3] = ["ftp", "telnet", "gopher"];

/// The one port that the corpus's SOCKS server can lead to.
const HTTP_PORT: u16 = 18990;

/// Outcomes of curl's command line, which say nothing about HTTP.
const OF_COMMAND_LINE: [&str; 5] = ["option-syntax", "usage", "write-file", "range", "bad-argument"];

impl Job {
    /// The job in our words.
    ///
    /// # Errors
    /// What there are no words for.
    pub(super) fn plan(&self, scene: &Scene) -> Result<Vec<Plan>, String> {
        if let Some(outcome) = self.expect.outcome.iter().find(|outcome| OF_COMMAND_LINE.contains(&outcome.as_str())) {
            return Err(format!("curl's command line ({outcome})"));
        }
        if self.ops.iter().any(|op| conditions::is_curls_own(op, &self.expect)) {
            return Err("dates that curl compares itself".into());
        }
        // Without a coding, there is nothing that could be left as it is.
        if self.ops.iter().any(|op| op.raw) && scene.has_coding() {
            return Err("transfer codings".into());
        }
        self.ops.iter().map(|op| op.plan(self, &scene.files)).collect()
    }
}

impl Op {
    fn plan(&self, job: &Job, files: &[File]) -> Result<Plan, String> {
        if let Some(word) = self.rest.keys().find(|word| !SAID_OTHERWISE.contains(&word.as_str())) {
            let feature = WITHOUT_API.iter().find(|(known, _)| known == word).map_or(word.as_str(), |(_, feature)| feature);
            return Err(feature.to_owned());
        }
        if self.allow_http09 {
            return Err("HTTP/0.9".into());
        }
        if let Some(odd) = self.urls.iter().find(|url| url.starts_with('@')) {
            return Err(format!("curl's command line ({odd})"));
        }
        let urls = self.urls.iter().map(|url| self.url(url)).collect::<Vec<_>>();
        if let Some(why) = urls.iter().find_map(|url| no_url(url, job)) {
            return Err(why);
        }
        let calls = urls
            .iter()
            .enumerate()
            .map(|(index, url)| self.call(index, url.clone(), files))
            .collect::<Result<_, _>>()?;
        Ok(Plan {
            settings: self.settings(job, urls.first().map_or("", String::as_str))?,
            calls,
        })
    }

    /// The URL as curl completes it, and as the URL standard can read it.
    fn url(&self, url: &str) -> String {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let url = labels::add(&url).unwrap_or(url);
        let Some(query) = &self.add_query else {
            return url;
        };
        let (url, fragment) = url.split_once('#').map_or((url.as_str(), ""), |(url, fragment)| (url, fragment));
        let joined = if url.contains('?') { '&' } else { '?' };
        format!("{url}{joined}{query}#{fragment}")
    }

    fn call(&self, index: usize, url: String, files: &[File]) -> Result<Call, String> {
        let fields = self.headers.iter().chain(&self.proxy_headers);
        let mut headers: Vec<_> = fields.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
        // A length that nobody knows is said by the body, not by the user.
        let chunked = headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked");
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("transfer-encoding"));
        let mut or_header = |name: &str, value: Option<String>| {
            let is_said = self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
            if let Some(value) = value.filter(|_| !is_said) {
                headers.push((name.to_owned(), value));
            }
        };
        or_header("content-type", self.default_content_type.clone());
        or_header("accept", self.default_accept.clone());
        or_header("expect", self.expect100_timeout.as_ref().map(|_| "100-continue".to_owned()));
        or_header("cookie", (!self.cookies.is_empty()).then(|| self.cookies.join("; ")));
        // A lone number is where a range begins.
        let range = |range: &String| {
            if range.contains('-') {
                format!("bytes={range}")
            } else {
                format!("bytes={range}-")
            }
        };
        or_header("range", self.range.as_ref().map(range));
        let mut upload = self.uploads.get(index).cloned();
        for (name, value) in conditions::headers(self, &mut upload, files)? {
            or_header(name, Some(value));
        }

        let (mut method, mut body) = (self.method.clone(), Body::empty());
        if let Some(bytes) = &self.body {
            body = if chunked { stream(bytes.0.clone()) } else { Body::from(bytes.0.clone()) };
        } else if let Some(upload) = upload {
            let bytes = upload.bytes.0;
            body = if upload.unknown_length || chunked { stream(bytes) } else { Body::from(bytes) };
        } else if !self.uploads.is_empty() {
            // curl ran out of files, and fetches what is left.
            method = "GET".to_owned();
        }
        Ok(Call {
            method,
            url,
            headers,
            body,
            auth: self.auth.as_ref().map(auth).transpose()?,
            redirect: self.redirect.as_ref().map_or(Ok(Redirect::none()), redirect)?,
            version: self.http_version.as_deref().map(version).transpose()?,
            target: self.request_target.as_deref().map(target).transpose()?,
            max_time: self.max_time.as_deref().map(number).transpose()?.map(Duration::from_secs),
            max_body: self.max_body_size.as_deref().map(number).transpose()?,
            route: self.route()?,
            // Who goes on with a transfer has to look at a 416 first: it says that all is there.
            fails_on_status: self.fail_on_status.is_some() && self.resume_from.is_none(),
        })
    }

    /// What engines on our transport read of a request.
    fn route(&self) -> Result<Option<RouteOptions>, String> {
        if let Some(interface) = &self.interface {
            let address: IpAddr = interface.parse().map_err(|_| "an interface by name")?;
            return Ok(Some(RouteOptions::new().local_address(address)));
        }
        if self.connect_to.is_empty() {
            return Ok(None);
        }
        let connect_to = ConnectTo::parse(&self.connect_to).ok_or("curl's command line (connect-to)")?;
        Ok(Some(RouteOptions::new().connector(Connector::new(connect_to))))
    }

    fn settings(&self, job: &Job, url: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for entry in &self.resolve {
            let parts: Vec<_> = entry.splitn(3, ':').collect();
            let [host, _, address] = parts[..] else {
                return Err("curl's command line (resolve)".into());
            };
            let address = address.parse().map_err(|_| "curl's command line (resolve)")?;
            let host = labels::of_host(host).unwrap_or_else(|| host.to_owned());
            settings.hosts.push((host.to_ascii_lowercase(), address));
        }
        if let Some(proxy) = self.proxy(job, url) {
            // As curl completes it; who it is for does not belong into a URL.
            let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
            let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", &proxy));
            let (userinfo, host) = rest.split_once('@').map_or((None, rest), |(userinfo, host)| (Some(userinfo), host));
            let of_url = userinfo
                .and_then(|userinfo| userinfo.split_once(':'))
                .map(|(user, password)| (user.into(), password.into()));
            let mut setting = ProxySetting::new(format!("{scheme}://{host}"));
            setting.credentials = self.proxy_auth.as_ref().map(basic).transpose()?.or(of_url);
            settings.proxy = Some(setting);
        }
        Ok(settings)
    }

    /// The proxy for the URL, of the option or of the environment.
    fn proxy(&self, job: &Job, url: &str) -> Option<String> {
        let variable = |name: &str| match (name, &self.no_proxy) {
            ("no_proxy" | "NO_PROXY", Some(option)) => Some(option.clone()),
            _ => job.env.get(name).cloned(),
        };
        let origin = Origin::of(&url.parse().ok()?).ok()?;
        let is_excepted = |variable: &dyn Fn(&str) -> Option<String>| {
            let chosen = Environment::read(variable).proxy(&origin).map(|proxy| proxy.is_some());
            // What is no proxy is told when it is used.
            !chosen.unwrap_or(true)
        };
        match self.proxy.as_deref() {
            Some("") => None,
            Some(option) => {
                let lists = |name| variable(name).is_some_and(|list| !list.is_empty());
                let asked = |name: &str| if name == "http_proxy" { Some(option.to_owned()) } else { variable(name) };
                let direct = (lists("no_proxy") || lists("NO_PROXY")) && is_excepted(&asked);
                (!direct).then(|| option.to_owned())
            }
            None if is_excepted(&variable) => None,
            None => ["http_proxy", "all_proxy", "ALL_PROXY"].into_iter().find_map(variable),
        }
    }
}

impl Call {
    pub(super) fn request(self, client: &HttpClient) -> RequestBuilder {
        let mut request = client.request(&*self.method, self.url).redirect(self.redirect).body(self.body);
        request = match self.auth {
            Some(Auth::Basic(user, password)) => request.basic_auth(user, password),
            Some(Auth::Bearer(token)) => request.bearer_auth(token),
            None => request,
        };
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(version) = self.version {
            request = request.version(version);
        }
        if let Some(target) = self.target {
            request = request.target(target);
        }
        request = request.timeout(|timeouts| timeouts.request(self.max_time.unwrap_or(PATIENCE)));
        if let Some(route) = self.route {
            request = request.extension(route);
        }
        // curl knows no limit that nobody set.
        request.limits(|limits| limits.body_bytes(self.max_body.unwrap_or(u64::MAX)))
    }
}

impl Op {
    /// It as rules see it.
    pub(super) fn seen_by_rules(&self) -> rules::Op {
        let body = self.body.as_ref().or_else(|| self.uploads.first().map(|upload| &upload.bytes));
        rules::Op {
            method: self.method.clone(),
            urls: self.urls.iter().map(|url| self.url(url)).collect(),
            headers: self.headers.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
            body_length: body.map_or(0, |body| body.0.len() as u64),
            asks_for_server: self.request_target.as_deref() == Some("*"),
            has_proxy: self.proxy.as_ref().is_some_and(|proxy| !proxy.is_empty()),
        }
    }
}

impl Plan {
    /// Whether a call asks for what only engines on our transport read.
    pub(super) fn needs_transport(&self) -> bool {
        self.calls.iter().any(|call| call.route.is_some())
    }
}

/// Why a URL that curl takes is none of ours.
fn no_url(url: &str, job: &Job) -> Option<String> {
    let scheme = url.split("://").next().unwrap_or("");
    if OTHER_SCHEMES.contains(&scheme) {
        return Some(format!("{scheme} URLs"));
    }
    match Url::parse(url) {
        Ok(url) if job.servers.iter().any(|server| server.starts_with("socks")) && url.port() != Some(HTTP_PORT) => {
            Some("a SOCKS server that leads elsewhere than asked".into())
        }
        _ => None,
    }
}

fn stream(bytes: Vec<u8>) -> Body {
    Body::stream(futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]))
}

fn auth(credentials: &Credentials) -> Result<Auth, String> {
    match (credentials.scheme.as_deref(), &credentials.token) {
        (Some("bearer"), Some(token)) => Ok(Auth::Bearer(token.clone())),
        _ => basic(credentials).map(|(user, password)| Auth::Basic(user, password)),
    }
}

fn basic(credentials: &Credentials) -> Result<(String, String), String> {
    match credentials.scheme.as_deref() {
        None | Some("basic") => Ok((credentials.user.clone(), credentials.password.clone())),
        Some(_) => Err("authentication that is negotiated".into()),
    }
}

fn redirect(redirects: &Redirects) -> Result<Redirect, String> {
    if redirects.trusted {
        return Err("credentials for every host of a redirect".into());
    }
    if !redirects.keep_post.is_empty() {
        return Err("a POST that stays one".into());
    }
    if !redirects.follow {
        return Ok(Redirect::none());
    }
    Ok(Redirect::limit(redirects.max.unwrap_or(CURLS_LIMIT)))
}

fn version(version: &str) -> Result<Version, String> {
    match version {
        "1.0" => Ok(Version::HTTP_10),
        "1.1" => Ok(Version::HTTP_11),
        _ => Err("HTTP/2, which the corpus's server does not speak".into()),
    }
}

fn target(target: &str) -> Result<RequestTarget, String> {
    match target {
        "*" => Ok(RequestTarget::Asterisk),
        _ => Err("request targets of any kind".into()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "curl's command line (a number)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(op: &str, env: &str) -> Job {
        let json = format!(
            r#"{{"id": "x", "ops": [{{"urls": ["h.example/a"], "method": "GET", {op}}}], "env": {{{env}}}, "expect": {{"outcome": ["ok"]}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn plan(op: &str) -> Result<Plan, String> {
        job(op, "").plan(&Scene::default()).map(|mut plans| plans.remove(0))
    }

    #[test]
    fn words_are_mapped() {
        let plan = plan(
            r#""headers": [["X", "1"], ["Accept", null], ["Transfer-Encoding", "chunked"]], "uploads": [{"b64": "aGk=", "unknown_length": false}],
               "default_accept": "text/plain", "cookies": ["a=1", "b=2"], "range": "4", "add_query": "q=1", "max_time": "2",
               "auth": {"user": "u", "password": "p"}, "redirect": {"follow": true, "max": 3}, "resolve": ["H.example:1:127.0.0.1"]"#,
        )
        .unwrap();
        let call = &plan.calls[0];
        assert_eq!(call.url, "http://h.example/a?q=1#");
        let headers: Vec<_> = call.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(headers, ["X: 1", "cookie: a=1; b=2", "range: bytes=4-"]);
        assert_eq!((call.body.len(), call.max_time), (None, Some(Duration::from_secs(2))));
        assert_eq!(plan.settings.hosts, [("h.example".to_owned(), "127.0.0.1".parse().unwrap())]);
    }

    #[test]
    fn what_has_no_mapping_is_named() {
        for (op, why) in [
            (r#""cookie_engine": true"#, "cookies"),
            (r#""unheard_of": 1"#, "unheard_of"),
            (r#""auth": {"user": "u", "password": "p", "scheme": "digest"}"#, "authentication that is negotiated"),
            (r#""redirect": {"follow": true, "trusted": true}"#, "credentials for every host of a redirect"),
            (r#""request_target": "XXX""#, "request targets of any kind"),
            (r#""resolve": ["nonsense"]"#, "curl's command line (resolve)"),
            (r#""allow_http09": true"#, "HTTP/0.9"),
            (r#""interface": "eth0""#, "an interface by name"),
            (r#""time_cond": "yesterday""#, "curl's command line (a date)"),
            (r#""resume_from": "some""#, "curl's command line (resume)"),
        ] {
            assert_eq!(plan(op).err().as_deref(), Some(why), "{op}");
        }
    }

    #[test]
    fn some_of_curls_urls_are_none_of_ours() {
        let job = job(r#""json": true"#, "");
        assert_eq!(no_url("ftp://h/", &job).as_deref(), Some("ftp URLs"));
        // What nobody knows is a case of its own.
        assert_eq!(no_url("htfp://h/", &job), None);
    }

    #[test]
    fn the_proxy_is_that_of_the_option_or_of_the_environment() {
        for (op, env, expected) in [
            (r#""proxy": "p:1""#, "", Some("http://p:1")),
            (r#""proxy": """#, r#""http_proxy": "q:1""#, None),
            (r#""json": true"#, r#""http_proxy": "q:1""#, Some("http://q:1")),
            (r#""proxy": "p:1""#, r#""NO_PROXY": "h.example""#, None),
            (r#""proxy": "p:1", "no_proxy": """#, r#""NO_PROXY": "h.example""#, Some("http://p:1")),
            (
                r#""no_proxy": "other.example""#,
                r#""http_proxy": "q:1", "NO_PROXY": "h.example""#,
                Some("http://q:1"),
            ),
        ] {
            let plan = job(op, env).plan(&Scene::default()).unwrap().remove(0);
            let proxy = plan.settings.proxy.map(|proxy| proxy.url);
            assert_eq!(proxy.as_deref(), expected, "{op} {env}");
        }
    }
}
