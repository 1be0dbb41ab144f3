"""The Asterisk modules that are loaded: what is used and nothing else.

Fewer modules start faster, log less and can be attacked less. Left out on purpose: ``res_pjsip_refer`` (a phone
must not transfer calls by itself), ``res_pjsip_endpoint_identifier_anonymous`` (strangers are refused),
``app_system``, ``func_shell``, ``func_curl`` and ``func_env`` (no way from the dialplan to the machine).
"""

from __future__ import annotations

REQUIRED = (
    # objects and timing that the rest stands on
    "res_sorcery_config",
    "res_sorcery_astdb",
    "res_sorcery_memory",
    "res_timing_timerfd",
    "res_crypto",
    "res_http_websocket",
    "res_pjproject",
    # SIP
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_pubsub",  # chan_pjsip needs it; endpoints have allow_subscribe = no
    "res_pjsip_sdp_rtp",
    "res_pjsip_caller_id",
    "res_pjsip_nat",
    "res_pjsip_rfc3326",
    "res_pjsip_dlg_options",
    "res_pjsip_dtmf_info",
    "res_pjsip_header_funcs",
    "res_pjsip_registrar",
    "res_pjsip_authenticator_digest",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_transport_websocket",
    "chan_pjsip",
    # audio
    "res_rtp_asterisk",
    "res_srtp",
    "res_musiconhold",
    "res_mutestream",
    "codec_ulaw",
    "codec_alaw",
    "codec_resample",
    "format_wav",
    "format_pcm",
    "bridge_simple",
    "bridge_softmix",
    "bridge_holding",
    "bridge_native_rtp",
    "chan_bridge_media",
    # what the dialplan and FastAGI use
    "pbx_config",
    "res_speech",  # res_agi will not load without it
    "res_agi",
    "res_audiosocket",
    "chan_audiosocket",
    "app_audiosocket",
    "app_celgenuserevent",
    "app_chanspy",
    "app_confbridge",
    "app_dial",
    "app_echo",
    "app_mixmonitor",
    "app_originate",
    "app_playback",
    "app_playtones",
    "app_queue",
    "app_read",
    "app_record",
    "app_senddtmf",
    "app_stack",
    "app_userevent",
    "app_verbose",
    "app_waitforsilence",
    "func_callerid",
    "func_channel",
    "func_db",
    "func_global",
    "func_groupcount",
    "func_hangupcause",
    "func_jitterbuffer",
    "func_logic",
    "func_math",
    "func_pjsip_aor",
    "func_pjsip_contact",
    "func_pjsip_endpoint",
    "func_strings",
    "func_talkdetect",
    "func_timeout",
    "func_volume",
    "cel_custom",
)

# Loaded where the Asterisk at hand has them (names changed between 18 and 22, or a distribution leaves them out).
OPTIONAL = (
    "res_cdrel_custom",
    "res_clioriginate",
    "res_format_attr_opus",
    "codec_opus_open_source",
    "codec_opus",
    "format_sln",
    "func_export",
    "res_security_log",
)
