# The operator takes the link away, and by rule senders are told so at once.
sites    hq field
weather  calm
seed     47
chat     emcon=refuse filter=none

hq     chat ann to bob@field.test "Before"
then   within 2m   field hears "Before"
hq     link chat down
hq     chat ann to bob@field.test "Nobody will hear"
then   within 1s   hq gets recipient-unavailable for ann
hq     link chat up
hq     chat ann to bob@field.test "After"
then   within 3m   field hears "After"
never  within 10m  field hears "Nobody will hear"
