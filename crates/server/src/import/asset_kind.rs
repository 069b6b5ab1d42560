//! What kind of asset a file is, by its extension, and what follows from it: the lane that its import
//! takes and the importer that its `.meta` names.

use lanepool::TaskPriority;

/// The kind of an asset, as far as importing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AssetKind {
    /// C# source.
    Script,
    /// Shader source that Unity compiles as a shader.
    Shader,
    /// A shader drawn as a graph; a package of Unity's imports it and names its importer.
    ShaderGraph,
    /// Source that shaders include.
    ShaderInclude,
    /// A compute shader.
    ComputeShader,
    /// A scene.
    Scene,
    /// A prefab.
    Prefab,
    /// A material, animation or other object that Unity itself serialises.
    Native,
    /// Text that scripts read: JSON, XML, CSV.
    Text,
    /// An image.
    Texture,
    /// A mesh with its skeleton and clips.
    Model,
    /// A sound.
    Audio,
    /// A film.
    Video,
    /// A font.
    Font,
    /// Anything else.
    Other,
}

impl AssetKind {
    /// The kind of the file with this name. Letter case does not matter.
    pub(crate) fn of(name: &str) -> Self {
        let extension = match name.rsplit_once('.') {
            Some((_, extension)) => extension.to_ascii_lowercase(),
            None => return Self::Other,
        };
        match extension.as_str() {
            "cs" => Self::Script,
            "shader" => Self::Shader,
            "shadergraph" | "shadersubgraph" => Self::ShaderGraph,
            "hlsl" | "cginc" | "glslinc" => Self::ShaderInclude,
            "compute" => Self::ComputeShader,
            "unity" => Self::Scene,
            "prefab" => Self::Prefab,
            "mat" | "asset" | "anim" | "controller" | "overridecontroller" | "physicmaterial"
            | "mixer" | "mask" | "rendertexture" | "lighting" => Self::Native,
            "txt" | "json" | "xml" | "csv" | "yaml" | "md" | "html" | "bytes" => Self::Text,
            "png" | "jpg" | "jpeg" | "tga" | "psd" | "tif" | "tiff" | "bmp" | "gif" | "exr"
            | "hdr" => Self::Texture,
            "fbx" | "obj" | "blend" | "dae" | "3ds" | "dxf" | "max" | "ma" | "mb" => Self::Model,
            "wav" | "mp3" | "ogg" | "aif" | "aiff" | "flac" => Self::Audio,
            "mp4" | "mov" | "webm" | "avi" | "m4v" => Self::Video,
            "ttf" | "otf" | "ttc" => Self::Font,
            _ => Self::Other,
        }
    }

    /// The lane of a bulk import: code first, because the editor cannot even compile without it; what
    /// is large and only looked at last. `Critical` stays free for files that somebody opens.
    pub(crate) fn priority(self) -> TaskPriority {
        match self {
            Self::Script
            | Self::Shader
            | Self::ShaderGraph
            | Self::ShaderInclude
            | Self::ComputeShader => TaskPriority::High,
            Self::Scene | Self::Prefab | Self::Native | Self::Text | Self::Other => {
                TaskPriority::Normal
            }
            Self::Texture | Self::Model | Self::Audio | Self::Video | Self::Font => {
                TaskPriority::Low
            }
        }
    }

    /// The importer's section of a fresh `.meta` file: its name, and the lines that Unity writes for it
    /// beyond those that every importer has. Unity adds the defaults that it misses.
    pub(crate) fn importer(self) -> (&'static str, &'static str) {
        match self {
            Self::Script => (
                "MonoImporter",
                "  serializedVersion: 2\n  defaultReferences: []\n  executionOrder: 0\n  icon: {instanceID: 0}\n",
            ),
            Self::Shader => (
                "ShaderImporter",
                "  defaultTextures: []\n  nonModifiableTextures: []\n",
            ),
            Self::ShaderInclude => ("ShaderIncludeImporter", ""),
            Self::ComputeShader => ("ComputeShaderImporter", ""),
            Self::Prefab => ("PrefabImporter", ""),
            Self::Native => ("NativeFormatImporter", "  mainObjectFileID: 0\n"),
            Self::Text => ("TextScriptImporter", ""),
            Self::Texture => ("TextureImporter", ""),
            Self::Model => ("ModelImporter", ""),
            Self::Audio => ("AudioImporter", ""),
            Self::Video => ("VideoClipImporter", ""),
            Self::Font => ("TrueTypeFontImporter", ""),
            Self::ShaderGraph | Self::Scene | Self::Other => ("DefaultImporter", ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_in_any_case() {
        for (name, kind) in [
            ("Player.cs", AssetKind::Script),
            ("PLAYER.CS", AssetKind::Script),
            ("a.b.shader", AssetKind::Shader),
            ("Main.unity", AssetKind::Scene),
            ("Tree.prefab", AssetKind::Prefab),
            ("Bark.mat", AssetKind::Native),
            ("Bark.png", AssetKind::Texture),
            ("Tree.fbx", AssetKind::Model),
            ("Wind.wav", AssetKind::Audio),
            ("README", AssetKind::Other),
            ("cs", AssetKind::Other),
            ("a.", AssetKind::Other),
            ("", AssetKind::Other),
        ] {
            assert_eq!(AssetKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn code_goes_before_scenes_before_media_and_none_is_critical() {
        let priority = |name| AssetKind::of(name).priority();
        assert_eq!(priority("a.cs"), TaskPriority::High);
        assert_eq!(priority("a.hlsl"), TaskPriority::High);
        assert_eq!(priority("a.unity"), TaskPriority::Normal);
        assert_eq!(priority("a.prefab"), TaskPriority::Normal);
        assert_eq!(priority("a.mat"), TaskPriority::Normal);
        assert_eq!(priority("a.unknown"), TaskPriority::Normal);
        assert_eq!(priority("a.png"), TaskPriority::Low);
        assert_eq!(priority("a.fbx"), TaskPriority::Low);
        assert_eq!(priority("a.ogg"), TaskPriority::Low);
    }
}
