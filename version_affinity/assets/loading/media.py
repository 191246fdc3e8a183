"""What the ending of a file's name says: its content type, and whether it is a compressed form of another file.

The system's own tables (``mimetypes``, ``/etc/mime.types``, the Windows registry) differ between machines: a module
script that one host sends as ``text/javascript`` is ``text/plain`` on the next, and a browser refuses to run it. The
types are those of the IANA registry and of the WHATWG MIME Sniffing standard.

Files compressed beforehand ("siblings") are ``app.js.br``, ``app.js.zst`` and ``app.js.gz`` beside ``app.js``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from version_affinity.errors import ConfigurationError
from version_affinity.wire import TOKEN, wsgi_text

#: For a file without a known extension: bytes, which a browser downloads and never runs.
UNKNOWN_TYPE = "application/octet-stream"

#: The extension of gzipped SVG. Browsers show it only with Content-Encoding: gzip.
GZIPPED = "svgz"

#: Content coding (RFC 9110 section 8.4.1) to the ending of the names of its files.
SUFFIXES = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}

#: What the names of compressed files end in.
ENDINGS = tuple(SUFFIXES.values())

_UTF8 = "; charset=utf-8"

# Text is sent with its charset, because browsers otherwise guess differently. RFC 8259 defines no charset for JSON;
# clients ignore it there, and the plain-text views of browsers and proxies use it.
_TEXT = {
    "text/html": ("html", "htm"),
    "application/xhtml+xml": ("xhtml", "xht"),
    "text/css": ("css",),
    "text/javascript": ("js", "mjs", "cjs"),  # RFC 9239
    "application/json": ("json", "map", "topojson"),
    "application/ld+json": ("jsonld",),
    "application/geo+json": ("geojson",),
    "application/manifest+json": ("webmanifest",),
    "application/xml": ("xml", "xsl", "xsd"),
    "application/rss+xml": ("rss",),
    "application/atom+xml": ("atom",),
    "image/svg+xml": ("svg",),
    "text/plain": ("txt", "text", "log"),
    "text/markdown": ("md", "markdown"),
    "text/csv": ("csv",),
    "text/tab-separated-values": ("tsv",),
    "text/calendar": ("ics",),
    "text/vcard": ("vcf",),
    "text/vtt": ("vtt",),
    "application/yaml": ("yaml", "yml"),
    "application/toml": ("toml",),
    "application/gpx+xml": ("gpx",),
    "application/vnd.google-earth.kml+xml": ("kml",),
    "application/opensearchdescription+xml": ("osdx",),
    "model/gltf+json": ("gltf",),
    "model/obj": ("obj",),
    "model/mtl": ("mtl",),
    "application/json5": ("json5",),
    "application/x-ndjson": ("ndjson", "jsonl"),
    "application/rdf+xml": ("rdf",),
    "application/xliff+xml": ("xlf", "xliff"),
    "application/mathml+xml": ("mml",),
    "application/x-subrip": ("srt",),
    "text/turtle": ("ttl",),
    "text/wgsl": ("wgsl",),
}

_BINARY = {
    "application/gzip": ("gz", "tgz"),
    "application/x-brotli": ("br",),
    "application/zstd": ("zst",),
    "application/x-bzip2": ("bz2",),
    "application/x-xz": ("xz",),
    "application/x-tar": ("tar",),
    "application/x-7z-compressed": ("7z",),
    "application/epub+zip": ("epub",),
    "application/msword": ("doc",),
    "application/vnd.ms-excel": ("xls",),
    "application/vnd.ms-powerpoint": ("ppt",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("docx",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ("xlsx",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ("pptx",),
    "application/vnd.oasis.opendocument.text": ("odt",),
    "application/vnd.oasis.opendocument.presentation": ("odp",),
    "application/vnd.oasis.opendocument.spreadsheet": ("ods",),
    "application/vnd.apple.mpegurl": ("m3u8", "m3u"),
    "application/vnd.apple.pkpass": ("pkpass",),
    "application/vnd.google-earth.kmz": ("kmz",),
    "application/vnd.mapbox-vector-tile": ("mvt",),
    "application/vnd.pmtiles": ("pmtiles",),
    "application/vnd.apache.arrow.file": ("arrow",),
    "application/vnd.apache.parquet": ("parquet",),
    "application/vnd.rar": ("rar",),
    "application/vnd.sqlite3": ("sqlite",),
    "application/x-protobuf": ("pbf",),
    "application/java-archive": ("jar",),
    "application/postscript": ("ps", "eps", "ai"),
    "application/zip+dotlottie": ("lottie",),
    "application/dash+xml": ("mpd",),
    "application/vnd.android.package-archive": ("apk",),
    "application/vnd.ms-fontobject": ("eot",),
    "application/octet-stream": ("bin", "data", "dat", "exe", "dmg", "iso", "msi", "onnx", "safetensors"),
    "audio/aiff": ("aif", "aiff"),
    "audio/midi": ("mid", "midi"),
    "audio/mpeg": ("mp3",),
    "audio/mp4": ("m4a",),
    "audio/ogg": ("oga", "ogg", "opus"),
    "audio/webm": ("weba",),
    "font/collection": ("ttc",),
    "image/jpeg": ("jpg", "jpeg", "jfif"),
    "image/tiff": ("tif", "tiff"),
    "image/vnd.microsoft.icon": ("ico", "cur"),
    "image/svg+xml": (GZIPPED,),
    "image/vnd.adobe.photoshop": ("psd",),
    "model/gltf-binary": ("glb",),
    "model/vnd.usdz+zip": ("usdz",),
    "video/3gpp": ("3gp",),
    "video/mp2t": ("ts", "m2ts"),
    "video/mp4": ("mp4", "m4v"),
    "video/mpeg": ("mpeg", "mpg"),
    "video/ogg": ("ogv",),
    "video/quicktime": ("mov",),
    "video/x-matroska": ("mkv",),
    "video/x-msvideo": ("avi",),
}

# Binary types that have the name of their extension.
_BINARY_OF_NAME = {
    "application": ("cbor", "pdf", "rtf", "wasm", "zip"),
    "audio": ("aac", "flac", "wav"),
    "font": ("otf", "ttf", "woff", "woff2"),
    "image": ("apng", "avif", "bmp", "gif", "heic", "heif", "jp2", "jxl", "ktx", "ktx2", "png", "webp"),
    "model": ("stl",),
    "video": ("webm",),
}

#: Extension to Content-Type.
TYPES = {
    **{extension: kind + _UTF8 for kind, extensions in _TEXT.items() for extension in extensions},
    **{extension: kind for kind, extensions in _BINARY.items() for extension in extensions},
    **{extension: f"{main}/{extension}" for main, extensions in _BINARY_OF_NAME.items() for extension in extensions},
}

# Files without an extension (Apple's universal links).
_NAMES = {"apple-app-site-association": "application/json" + _UTF8}

_HTML = ("text/html", "application/xhtml+xml")


def extension(path: str) -> str:
    """Return the extension of a path in lower case, without the dot, "" if it has none (``/.htaccess``)."""
    dot = path.rfind(".")
    return path[dot + 1 :].lower() if dot > path.rfind("/") + 1 else ""


# RFC 9110 section 8.3.1: type "/" subtype, then parameters. Quoted values with ";" are not supported.
_MEDIA_TYPE = re.compile(rf'{TOKEN}/{TOKEN}(?:[ \t]*;[ \t]*{TOKEN}=(?:{TOKEN}|"[ !#-:<-\[\]-~]*"))*\Z')


def checked_additions(content_types: Mapping[str, str] | None) -> dict[str, str]:
    """Return types that are added to the table: of ``{".mdl": "model/vnd.mdl"}``, ``{"mdl": "model/vnd.mdl"}``."""
    if content_types is None:
        return {}
    if not isinstance(content_types, Mapping):
        raise ConfigurationError(
            f"content_types={content_types!r} is not a mapping: write content_types={{'.mdl': 'model/vnd.mdl'}}"
        )
    additions = {}
    for ending, kind in content_types.items():
        shown = wsgi_text(ending) if isinstance(ending, str) else ""  # as in PATH_INFO
        key = extension(f"x{shown}")
        if not key or shown != f".{shown[1:]}" or key != shown[1:].lower():
            raise ConfigurationError(
                f"content_types has {ending!r}, which is not an extension: write a dot and the letters after it, "
                "such as '.mdl'"
            )
        if not isinstance(kind, str) or not _MEDIA_TYPE.match(kind):
            raise ConfigurationError(
                f"content_types has {kind!r} for {ending!r}, which is not a media type: write one such as "
                "'text/markdown; charset=utf-8'"
            )
        additions[key] = kind
    return additions


def content_type(path: str, additions: Mapping[str, str] | None = None) -> str:
    """Return the Content-Type of a file by its name."""
    ending = extension(path)
    if additions is not None and ending in additions:
        return additions[ending]
    return TYPES.get(ending) or _NAMES.get(path[path.rfind("/") + 1 :], UNKNOWN_TYPE)


def is_html(content_type: str) -> bool:
    """Return whether a Content-Type is HTML or XHTML."""
    return content_type.partition(";")[0].rstrip().lower() in _HTML


def is_media(path: str) -> bool:
    """Return whether a path's extension has a known media type other than HTML, so that a request expects that file."""
    kind = TYPES.get(extension(path))
    return kind is not None and not kind.startswith(_HTML)


def uncompressed(name: str) -> str:
    """Return a file's name without the endings of compressed files."""
    while name.endswith(ENDINGS):
        name = name[: name.rindex(".")]
    return name
