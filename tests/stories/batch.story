# Mail by batches over the radio: confirmed by the other node.
sites    hq field
links    batch
seed     19

hq     mail to=watch@field.test size=3000 "By batch"
then   within 10m  field has "By batch"
then   within 10m  everything is delivered
