{{- define "proxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "proxy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "proxy.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "proxy.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "proxy.selector" -}}
app.kubernetes.io/name: {{ include "proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "proxy.labels" -}}
{{ include "proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: proxy
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "proxy.replicas" -}}
{{- if .Values.autoscaling.enabled }}{{ .Values.autoscaling.minReplicas }}{{ else }}{{ .Values.replicas }}{{ end -}}
{{- end -}}

{{- define "proxy.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "proxy.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ .Values.serviceAccount.name }}{{ end -}}
{{- end -}}

{{- /* What is mounted: pairs of a volume and the folder where the proxy has it. */ -}}
{{- define "proxy.volumes" -}}
{{- with .Values.upstreamApiKeySecret.name }}
- name: upstream-api-key
  secret: {secretName: {{ . | quote }}, items: [{key: {{ $.Values.upstreamApiKeySecret.key | quote }}, path: key}]}
{{- end }}
{{- if .Values.upstreamCA.secret }}
- name: upstream-ca
  secret: {secretName: {{ .Values.upstreamCA.secret | quote }}, items: [{key: {{ .Values.upstreamCA.key | quote }}, path: ca.pem}]}
{{- else if .Values.upstreamCA.configMap }}
- name: upstream-ca
  configMap: {name: {{ .Values.upstreamCA.configMap | quote }}, items: [{key: {{ .Values.upstreamCA.key | quote }}, path: ca.pem}]}
{{- end }}
{{- with .Values.tls.secret }}
- name: tls
  secret: {secretName: {{ . | quote }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- with .Values.sidecar.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "proxy.mounts" -}}
{{- if .Values.upstreamApiKeySecret.name }}
- {name: upstream-api-key, mountPath: /etc/vllm-sse-proxy/upstream-api-key, readOnly: true}
{{- end }}
{{- if or .Values.upstreamCA.secret .Values.upstreamCA.configMap }}
- {name: upstream-ca, mountPath: /etc/vllm-sse-proxy/upstream-ca, readOnly: true}
{{- end }}
{{- if .Values.tls.secret }}
- {name: tls, mountPath: /etc/vllm-sse-proxy/tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "proxy.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}
