"""Which URLs are opened, and how they look on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pipeline.core.errors import UnusableResultError
from pipeline.videos.addresses import checked_address, redirect_address, same_object


@pytest.mark.parametrize(
    "path",
    [
        "/o/1.mp4?sig=a%2Fb%2fc+d%20e&x=&&y=1=2?z",
        "/a/../b//c/./d%2F%2e%2e",
        "/%zz?%",
        "/a;b,c@d:e!$&'()*?q={}|^`\"<>\\[]",
    ],
)
def test_url_is_sent_verbatim_when_it_is_ascii(path):
    """A signature covers the bytes of the URL, so none of them changes."""
    assert checked_address(f"https://cdn.example{path}").raw_path_qs == path


def test_only_unsendable_characters_are_encoded_when_the_url_has_some():
    """Spaces and characters beyond ASCII cannot stand in a request line; everything else stays."""
    assert checked_address("http://h/ä b%20+?q=é").raw_path_qs == "/%C3%A4%20b%20+?q=%C3%A9"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "data:video/mp4;base64,AAAA",
        "//host/x",
        "host/x.mp4",
        "",
        "http://",
        "http:///x",
        "https://?x",
        "http:host/x",
        "http://host:99999/",
        "http://host:0/",
        "http://host:port/",
        "http://[::1/x",
        "http://user:secret@host/x",
        "http://host\\@evil/x",
        "http://höst/x",
        "http://xn--zzzz/x",
        "http://host/a\r\nX: 1",
        "http://host/\x00",
        "http://host/\x7f",
        " http://host/x",
        "http://host/\ud800",
        "http://ho st/x",
        "http://xn--a/v.mp4",
        "http://xn--/v.mp4",
        "http://host/" + "a" * 32_768,
        None,
        7,
    ],
    ids=lambda url: repr(url)[:30],
)
def test_url_is_refused_when_it_is_not_plain_http(url):
    """Only http and https, with a host, without credentials or control characters."""
    with pytest.raises(UnusableResultError) as caught:
        checked_address(url)
    assert caught.value.code == "bad_url"
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 300


def test_url_is_refused_when_it_carries_stray_bytes():
    """Half a character is no part of a URL that a service gave us."""
    with pytest.raises(UnusableResultError):
        checked_address("http://host/\udcff")


def test_url_is_accepted_when_it_is_as_long_as_allowed():
    """The limit itself is allowed; one more is refused above."""
    url = "http://host/".ljust(32_768, "a")
    assert checked_address(url).raw_path == url[11:]


_PIECES = st.sampled_from(
    ["http:", "//", "/", "[", "]", "::1", "xn--a", "xn--", ".", "@", ":", "℀", "%", "1", "\udcff"]
)
_ADDRESSES = st.lists(_PIECES | st.text(max_size=3), max_size=8).map("".join)


@given(_ADDRESSES)
def test_redirect_is_a_url_that_can_be_used_or_a_known_error_when_it_is_junk(location):
    """Wherever a host sends us, the address has a host that can be named, or the redirect is refused in words."""
    try:
        address = redirect_address(URL("https://host/a/file?x=1", encoded=True), location)
    except UnusableResultError as error:
        assert error.code == "bad_url"  # noqa: PT017 -- most of the junk is refused, some of it leads somewhere
    else:
        assert address.host
        assert str(address)


@pytest.mark.parametrize("location", ["//[::1", "//]/", "//℀.com", "//xn--a/v.mp4", "http://xn--a/v.mp4"])
def test_redirect_is_refused_when_its_host_cannot_be_read(location):
    """Half an address, or a name that nobody can have, is the host's mistake and not the run's."""
    with pytest.raises(UnusableResultError) as caught:
        redirect_address(URL("https://host/a"), location)
    assert caught.value.code == "bad_url"
    assert location in caught.value.message


@given(st.text())
def test_refusal_is_a_known_error_when_the_url_is_junk(text):
    """Junk never fails otherwise than as a result that cannot be used."""
    for url in (text, "http://" + text, "https://host/" + text):
        try:
            checked_address(url)
        except UnusableResultError as error:
            assert error.code == "bad_url"  # noqa: PT017 -- most of the junk is refused, some of it is a URL


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b?x=%2F", "https://host/b?x=%2F"),
        ("b", "https://host/a/b"),
        ("?y=1+2", "https://host/a/file?y=1+2"),
        ("//other/c", "https://other/c"),
        ("/\udcff\udce9", "https://host/%FF%E9"),
        ("http://other/d%2f?e", "http://other/d%2f?e"),
    ],
)
def test_redirect_is_followed_when_it_leads_to_http(location, target):
    """Relative targets are joined, absolute ones taken verbatim."""
    assert str(redirect_address(URL("https://host/a/file?x=1", encoded=True), location)) == target


@pytest.mark.parametrize("location", ["file:///etc/passwd", "FTP://h/x", "data:,x", "javascript:1", "http://u:p@h/"])
def test_redirect_is_refused_when_it_leads_elsewhere(location):
    """A host cannot send us to a local file or another protocol."""
    with pytest.raises(UnusableResultError):
        redirect_address(URL("https://host/a"), location)


def test_objects_are_the_same_when_only_the_query_differs():
    """A query carries the signature; host and path name the object."""
    assert same_object("https://h/a?x=1", "https://h/a?y=2")
    assert not same_object("https://h/a", "https://h/b")
    assert not same_object("https://h/a", "https://g/a")
