"""What each shell runs to complete a command: `kdbench __complete`, with the words so far."""

BASH = r"""# bash completion for kdbench
#   kdbench completion bash > ~/.local/share/bash-completion/completions/kdbench
_kdbench() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]}" __complete bash "$COMP_WORDBREAKS" \
        "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o nospace -o nosort -F _kdbench kdbench 2>/dev/null ||
    complete -o nospace -F _kdbench kdbench
"""

ZSH = r"""#compdef kdbench
# zsh completion for kdbench, for a folder of $fpath:
#   kdbench completion zsh > ~/.zfunc/_kdbench
_kdbench() {
    local line word text
    local -a whole whole_shown open open_shown
    for line in "${(@f)$("${words[1]}" __complete words "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        word=${line%%$'\t'*}
        text=$word
        [[ $line == *$'\t'* ]] && text="$word  -- ${line#*$'\t'}"
        if [[ $word == *[=/,:] ]]; then
            open+=("$word")
            open_shown+=("$text")
        else
            whole+=("$word")
            whole_shown+=("$text")
        fi
    done
    (( $#open )) && compadd -l -S '' -d open_shown -a open
    (( $#whole )) && compadd -l -d whole_shown -a whole
    return 0
}
if [[ $funcstack[1] == _kdbench ]]; then
    _kdbench "$@"
else
    compdef _kdbench kdbench
fi
"""

FISH = r"""# fish completion for kdbench
#   kdbench completion fish > ~/.config/fish/completions/kdbench.fish
function __kdbench_words
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    command $words[1] __complete words $words[2..-1] "$current" 2>/dev/null
end
complete -c kdbench -f -a '(__kdbench_words)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
"""Scripts by shell."""
