"""What FFmpeg may open for a source: that itself, and nothing that it names.

A playlist looks like a video and is a list of other files or addresses, which FFmpeg would open. So
only containers that hold their pictures themselves are opened. Over HTTP, where live cameras and
services send HLS and DASH, a playlist may name what lies there, too, and no file of this machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from errno import EINVAL
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from depthrt.errors import SourceError
from depthrt.sources.display_name import without_secrets

if TYPE_CHECKING:
    from av.container import InputContainer

# What libraries raise for a file that is broken, hostile or too large, where no module foresaw it.
BROKEN = (ValueError, ArithmeticError, MemoryError, OSError, cv2.error)

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0

# FFmpeg's names of them. Sound alone is among them to be told that it has no picture in it.
_CONTAINERS = (
    "mov,matroska,avi,mpegts,mpegtsraw,mpeg,flv,live_flv,kux,asf,asf_o,ogg,mxf,gxf,nut,ivf,"
    "rm,wtv,dv,nsv,swf,yuv4mpegpipe,gif,apng,fits,mlv,cine,ser,r3d,nuv,pva,ty,ivr,frm,"
    "filmstrip,lxf,simbiosis_imx,"
    "h264,hevc,vvc,evc,apv,av1,obu,h261,h263,m4v,mpegvideo,mjpeg,mjpeg_2000,mpjpeg,smjpeg,"
    "vc1,vc1test,dirac,dnxhd,cavsvideo,avs2,avs3,ingenient,ipu,v210,v210x,bitpacked,"
    "dhav,hxvs,ifv,iv8,luodat,lvf,lmlm4,mxg,nc,msnwctcp,sdr2,vivo,"
    "3dostr,4xm,anm,argo_brp,avs,bethsoftvid,bfi,bink,bmv,c93,cdg,cdxl,dcstr,dfa,dsicin,dxa,"
    "ea,ea_cdata,film_cpk,flic,gdv,hnm,idcin,iff,ipmovie,iss,jv,mgsts,mm,mods,moflex,mtv,mv,"
    "mvi,paf,pdv,pmp,psxstr,rl2,roq,rpl,sga,siff,smk,smush,thp,tiertexseq,tmv,txd,usm,"
    "vividas,vmd,wc3movie,wsvqa,xmv,yop,"
    "image2,image2pipe,alias_pix,brender_pix,ico,jpegxl_anim,msp,webp,bmp_pipe,cri_pipe,"
    "dds_pipe,dpx_pipe,exr_pipe,gem_pipe,gif_pipe,hdr_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,"
    "jpegxl_pipe,jpegxs_pipe,pam_pipe,pbm_pipe,pcx_pipe,pfm_pipe,pgm_pipe,pgmyuv_pipe,"
    "pgx_pipe,phm_pipe,photocd_pipe,pictor_pipe,png_pipe,ppm_pipe,psd_pipe,qdraw_pipe,"
    "qoi_pipe,sgi_pipe,sunrast_pipe,tiff_pipe,vbn_pipe,webp_pipe,xbm_pipe,xpm_pipe,xwd_pipe,"
    "aac,ac3,ac4,aiff,amr,ape,au,caf,dts,eac3,flac,iamf,loas,mp3,mpc,mpc8,truehd,tta,w64,wav,"
    "wv,xwma"
)
_HTTP = ("http", "https")
_PLAYLISTS = "hls,dash"
_LIVE = "rtsp,rtp"
_HTTP_PROTOCOLS = "http,https,httpproxy,tcp,tls,crypto,data"
_LIVE_PROTOCOLS = (
    "rtsp,rtp,srtp,srt,udp,tcp,tls,http,https,"
    "rtmp,rtmps,rtmpt,rtmpts,rtmpe,rtmpte,ffrtmpcrypt,ffrtmphttp"
)
_HEAD_BYTES = 4096
_LISTS = (
    (rb"ffconcat version", "an ffconcat list"),
    (rb"#EXTM3U", "an M3U playlist (HLS)"),
    (rb"(<\?xml.*)?<MPD[\s>]", "a DASH manifest"),
    (rb"(<\?xml.*)?<SmoothStreamingMedia", "a manifest of Smooth Streaming"),
    (rb"(<\?xml.*)?<(playlist|asx|smil)[\s>]", "a playlist"),
    (rb"\[(playlist|Reference)\]|RTSPtext", "a playlist"),
    (rb"v=0\s+o=", "a session description (SDP)"),
)


def open_input(url: str, shown: str, options: Mapping[str, str] | None = None) -> InputContainer:
    """Open a file by its absolute path, or an address.

    Args:
        url: what is opened.
        shown: what it is called in messages.
        options: FFmpeg's, besides those that keep it from opening anything else.

    Raises:
        SourceError: it cannot be opened, or is a list of what could be; free of secrets, and not
            chained to FFmpeg's own error, which holds the address as it is.
    """
    import av

    try:
        return av.open(
            url,
            options={**(options or {}), **_bounds(url)},
            timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S),
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
        reason = reason_of(error, url)
        refused = getattr(error, "errno", None) == EINVAL
    kind = _kind_of_list(url) if "://" not in url else ""
    if kind:
        raise SourceError(
            f"{shown} is {kind}: it names other files, and what is not named to depthrt itself is "
            "not opened; give the videos that it names"
        )
    if re.match(r"https?://[^?#]*\.(m3u8?|mpd)\b", url, re.IGNORECASE):
        reason += "; a playlist may name what lies at http:// and https:// alone"
    elif refused:
        reason += ": a playlist, or a format that depthrt does not open"
    raise SourceError(f"{shown} cannot be opened as a video ({reason})")


def reason_of(error: BaseException, url: str = "") -> str:
    """What a library's error says, without the secrets of the address."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return without_secrets(said, url)


def _bounds(url: str) -> dict[str, str]:
    """FFmpeg's options by which it opens what is named and nothing else."""
    scheme = url.partition("://")[0].lower() if "://" in url else "file"
    formats, protocols = _CONTAINERS, "file"
    if scheme in _HTTP:
        formats, protocols = f"{_CONTAINERS},{_PLAYLISTS}", _HTTP_PROTOCOLS
    elif scheme != "file":
        formats, protocols = f"{_CONTAINERS},{_LIVE}", _LIVE_PROTOCOLS
    return {
        "format_whitelist": formats,
        "protocol_whitelist": protocols,
        "pattern_type": "none",  # %03d in the name of a picture is a name
    }


def _kind_of_list(path: str) -> str:
    """What kind of list a file is; empty if it is none that is known."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return ""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next(
        (kind for mark, kind in _LISTS if re.match(mark, head, re.DOTALL | re.IGNORECASE)), ""
    )
